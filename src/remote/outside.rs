//! What the copy and Lifeboat's own pods must not reach: the addresses that
//! agents try, in vain.

use std::net::IpAddr;

use serde_json::Value;

use super::{RemoteEngine, inspect::Scene};
use crate::{
    agent::protocol::{Outside, Target},
    domain::{
        failure::{Failure, FailureKind},
        store::S3Place,
    },
    k8s::{Kind, Object},
    workload::{Part, list},
};

/// Where an engine listens whose pod does not say.
const PORT: u16 = 5432;

/// What every pod of a cluster is told.
const API_SERVER: &str = "KUBERNETES_SERVICE_HOST";

/// What answers to a port of an address outside, if nothing keeps it.
const ABROAD: &str = "1.1.1.1";

impl RemoteEngine {
    /// What a copy must not reach.
    pub(super) async fn outside(&self) -> Result<Outside, Failure> {
        let mut outside = self.outside_of(None);
        self.add_source(&mut outside).await?;
        Ok(outside)
    }

    /// What a pod must not reach that works at the source, and may reach a port of
    /// any address if its bucket is somewhere outside.
    pub(super) fn outside_at_source(&self, pod: &str, open: Option<u16>) -> Outside {
        but_for(self.outside_of(Some(pod)), open)
    }

    /// What a pod must not reach that works at the bucket.
    pub(super) async fn outside_at_bucket(
        &self,
        pod: &str,
        open: Option<u16>,
    ) -> Result<Outside, Failure> {
        let mut outside = self.outside_of(Some(pod));
        self.add_source(&mut outside).await?;
        let place = self.drill.bucket().map(S3Place::host_and_port);
        outside.after = place.map(|(host, port)| target("the bucket", &host, port));
        Ok(but_for(outside, open))
    }

    fn outside_of(&self, pod: Option<&str>) -> Outside {
        Outside {
            from: pod.map(str::to_owned),
            targets: vec![
                // Every pod of a cluster can reach it, if nothing keeps it.
                target("the API server", &format!("${{{API_SERVER}}}"), 443),
                target("an address outside", ABROAD, 443),
            ],
            allow_unfenced: self.drill.sandbox.allow_unfenced,
            ..Outside::default()
        }
    }

    async fn add_source(&self, outside: &mut Outside) -> Result<(), Failure> {
        let scene = self.scene().await?;
        match self.ways_to_source(&scene).await? {
            Ok(targets) => outside.targets.extend(targets),
            Err(why) => {
                let why = why.join(", ");
                let way = format!("the way to the source: no address of it is known: {why}");
                outside.untested.push(way);
            }
        }
        Ok(())
    }

    /// The source's Services; without one that has an address, the pod behind
    /// them. Else why there is none.
    async fn ways_to_source(
        &self,
        scene: &Scene,
    ) -> Result<Result<Vec<Target>, Vec<String>>, Failure> {
        let (mut targets, mut why) = (Vec::new(), Vec::new());
        for service in services(scene) {
            let name = &service.name;
            match self.seen(Kind::Service, name).await? {
                Ok(live) => match address(&live) {
                    Some((host, port)) => {
                        targets.push(target(&format!("the source's Service {name}"), host, port));
                    }
                    None => why.push(format!("Service {name} has no address of its own")),
                },
                Err(unseen) => why.push(unseen),
            }
        }
        if !targets.is_empty() {
            return Ok(Ok(targets));
        }
        let (set, port) = (&scene.workload.stateful_set.name, port(scene));
        let pod = format!("{set}-{}", self.workload.replica);
        match self.seen(Kind::Pod, &pod).await? {
            Ok(live) => match live.data.pointer("/status/podIP").and_then(Value::as_str) {
                Some(host) => targets.push(target(&format!("the source's pod {pod}"), host, port)),
                None => why.push(format!("pod {pod} has no address")),
            },
            Err(unseen) => {
                why.push(unseen);
                targets.extend(named(scene, port).await);
            }
        }
        Ok(if targets.is_empty() {
            Err(why)
        } else {
            Ok(targets)
        })
    }

    /// An object of the source's, or why it is not seen: the source may be gone,
    /// and our rights there with it.
    async fn seen(&self, kind: Kind, name: &str) -> Result<Result<Object, String>, Failure> {
        let what = format!("{} {name}", kind.name());
        match self.of_workload(kind, name).await {
            Ok(Some(object)) => Ok(Ok(object)),
            Ok(None) => Ok(Err(format!("{what} is not there"))),
            Err(failure) if failure.kind == FailureKind::Denied => {
                Ok(Err(format!("{what} may not be read")))
            }
            Err(failure) => Err(failure),
        }
    }
}

/// A policy knows no names of hosts: so a pod whose bucket is somewhere outside may
/// reach that port of any address. There nothing is shown by a try.
fn but_for(mut outside: Outside, open: Option<u16>) -> Outside {
    let Some(open) = open else {
        return outside;
    };
    // This one answers to others, too.
    for target in &mut outside.targets {
        if target.host == ABROAD && target.port == open {
            target.port = if open == 443 { 80 } else { 443 };
        }
    }
    let (free, shut): (Vec<_>, Vec<_>) = outside
        .targets
        .into_iter()
        .partition(|target| target.port == open);
    outside.targets = shut;
    outside
        .untested
        .extend(free.iter().map(|Target { what, .. }| {
            format!("the way to {what}: port {open} of any address is open for the bucket")
        }));
    outside
}

fn target(what: &str, host: &str, port: u16) -> Target {
    Target {
        what: what.to_owned(),
        host: host.to_owned(),
        port,
    }
}

fn services(scene: &Scene) -> impl Iterator<Item = &Part> {
    let parts = scene.workload.parts.iter();
    parts.filter(|part| part.kind == Kind::Service)
}

/// Where a Service is reached; a headless one has no address.
fn address(service: &Object) -> Option<(&str, u16)> {
    let spec = &service.data["spec"];
    let address = spec["clusterIP"].as_str()?;
    address.parse::<IpAddr>().ok()?;
    Some((address, number(&spec["ports"][0]["port"])?))
}

/// Where the engine listens in its pod.
fn port(scene: &Scene) -> u16 {
    let ports = list(&scene.engine()["ports"]).iter();
    let mut ports = ports.filter_map(|port| number(&port["containerPort"]));
    ports.next().unwrap_or(PORT)
}

fn number(port: &Value) -> Option<u16> {
    port.as_u64().and_then(|port| u16::try_from(port).ok())
}

/// The addresses that the names of the Services have, as the cluster's own DNS
/// tells this process if it runs there: any other server's word is worthless.
async fn named(scene: &Scene, port: u16) -> Vec<Target> {
    if std::env::var_os(API_SERVER).is_none() {
        return Vec::new();
    }
    let mut targets = Vec::new();
    for service in services(scene) {
        let host = format!("{}.{}.svc", service.name, scene.workload.namespace);
        let Ok(addresses) = tokio::net::lookup_host((host.as_str(), port)).await else {
            continue;
        };
        let what = format!("the source's pod behind {host}");
        targets.extend(addresses.map(|at| target(&what, &at.ip().to_string(), port)));
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside() -> Outside {
        Outside {
            targets: vec![
                target("the API server", "10.0.0.1", 443),
                target("an address outside", ABROAD, 443),
                target("the source", "10.0.0.2", 5432),
            ],
            ..Outside::default()
        }
    }

    fn tried(open: Option<u16>) -> Vec<(String, u16)> {
        let targets = but_for(outside(), open).targets.into_iter();
        targets.map(|target| (target.what, target.port)).collect()
    }

    #[test]
    fn a_port_that_is_open_to_all_is_not_tried_and_that_is_said() {
        let all = [
            ("the API server".to_owned(), 443),
            ("an address outside".to_owned(), 443),
            ("the source".to_owned(), 5432),
        ];
        assert_eq!(tried(None), all);
        assert_eq!(tried(Some(9000)), all);
        let secure = [("an address outside".to_owned(), 80), all[2].clone()];
        assert_eq!(tried(Some(443)), secure);
        let why = but_for(outside(), Some(443)).untested;
        let expected = "the way to the API server: port 443 of any address is open for the bucket";
        assert_eq!(why, [expected]);
    }
}
