//! What the copy must not reach: the addresses that its agent tries, in vain.

use std::net::IpAddr;

use serde_json::Value;

use super::{RemoteEngine, inspect::Scene};
use crate::{
    agent::protocol::Target,
    domain::failure::{Failure, FailureKind},
    k8s::{Kind, Object},
    workload::{Part, list},
};

/// Where an engine listens whose pod does not say.
const PORT: u16 = 5432;

/// What every pod of a cluster is told.
const API_SERVER: &str = "KUBERNETES_SERVICE_HOST";

/// What is to be tried, and what cannot be.
pub(super) struct Outside {
    pub targets: Vec<Target>,
    /// Why something is not among them.
    pub untested: Vec<String>,
}

impl RemoteEngine {
    /// What the agent tries to reach.
    pub(super) async fn outside(&self) -> Result<Outside, Failure> {
        let mut outside = Outside {
            targets: vec![
                // Every pod of a cluster can reach it, if nothing keeps it.
                target("the API server", &format!("${{{API_SERVER}}}"), 443),
                target("an address outside", "1.1.1.1", 443),
            ],
            untested: Vec::new(),
        };
        let scene = self.scene().await?;
        match self.ways_to_source(&scene).await? {
            Ok(targets) => outside.targets.extend(targets),
            Err(why) => {
                let why = why.join(", ");
                let way = format!("the way to the source: no address of it is known: {why}");
                outside.untested.push(way);
            }
        }
        Ok(outside)
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
