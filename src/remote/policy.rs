//! The one way out of the sandbox: for the pods that work at the source, to
//! the source alone.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    RemoteEngine,
    objects::{AT_SOURCE, ROLE},
};
use crate::{
    domain::failure::{Failure, FailureKind},
    k8s::{Kind, Maker, Object},
    spec::drill::{PostgresqlConnection, Workload},
    workload::list,
};

/// Where the source is, as a policy can say it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Way {
    /// Pods behind a Service, by its selector, in its namespace.
    Service {
        namespace: String,
        selector: Value,
        port: Value,
    },
    Address(IpAddr, u16),
}

impl RemoteEngine {
    /// Opens the way to the source.
    ///
    /// # Errors
    /// If the source's host is neither a Service of the cluster nor an address.
    pub(super) async fn open_way(&self, maker: &Maker, namespace: &str) -> Result<(), Failure> {
        let way = match self.way().await? {
            Way::Service {
                namespace,
                selector,
                port,
            } => json!({
                "to": [{
                    "namespaceSelector": { "matchLabels": {
                        "kubernetes.io/metadata.name": namespace } },
                    "podSelector": { "matchLabels": selector },
                }],
                "ports": [{ "protocol": "TCP", "port": port }],
            }),
            Way::Address(address, port) => {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                json!({
                    "to": [{ "ipBlock": { "cidr": format!("{address}/{bits}") } }],
                    "ports": [{ "protocol": "TCP", "port": port }],
                })
            }
        };
        let names = json!({ "ports": [
            { "protocol": "UDP", "port": 53 }, { "protocol": "TCP", "port": 53 },
        ]});
        let body = json!({ "spec": {
            "podSelector": { "matchLabels": { ROLE: AT_SOURCE } },
            "policyTypes": ["Egress"],
            "egress": [way, names],
        }});
        maker
            .make(
                Kind::NetworkPolicy,
                Some(namespace),
                "lifeboat-to-source",
                body,
            )
            .await?;
        Ok(())
    }

    /// The connection to the source.
    pub(super) fn connection(&self) -> Result<&PostgresqlConnection, Failure> {
        let connection = match &self.drill.workload {
            Workload::Postgresql(workload) => workload.connection.as_ref(),
            Workload::Sqlite(_) => None,
        };
        connection.ok_or_else(|| {
            Failure::new(
                FailureKind::Invalid,
                "the drill names no connection to the source",
            )
        })
    }

    /// The Service and its namespace that a host means; `None` for an address.
    pub(super) fn service_named(&self, host: &str) -> Option<(String, String)> {
        let is_address = host.parse::<IpAddr>().is_ok();
        (!is_address).then(|| service_of(host, &self.workload.namespace))
    }

    pub(super) async fn way(&self) -> Result<Way, Failure> {
        let connection = self.connection()?;
        let (host, port) = (connection.host.as_str(), connection.port);
        if let Ok(address) = host.parse() {
            return Ok(Way::Address(address, port));
        }
        let (name, namespace) = service_of(host, &self.workload.namespace);
        let service = self
            .cluster()
            .await?
            .get(Kind::Service, Some(&namespace), &name)
            .await?;
        let Some(service) = service else {
            let message = format!("the source's host {host} is no Service of the cluster");
            return Err(Failure::new(FailureKind::Invalid, message).hint(
                "name a Service, such as db.shop.svc, or an address: the fence lets nothing else \
                 through",
            ));
        };
        behind(&service, namespace, port)
    }
}

/// Of `db`, `db.shop`, `db.shop.svc` or `db.shop.svc.cluster.local` the name
/// and the namespace; of `db-0.db.shop.svc`, too, which is one pod of it.
fn service_of(host: &str, default: &str) -> (String, String) {
    let parts: Vec<&str> = host.split('.').collect();
    let svc = parts.iter().position(|part| *part == "svc");
    let parts = svc.map_or(parts.as_slice(), |svc| &parts[..svc]);
    match parts {
        [] | [_] => (host.to_owned(), default.to_owned()),
        [.., name, namespace] => ((*name).to_owned(), (*namespace).to_owned()),
    }
}

/// A policy is held against the pod and its own port, not the Service's.
fn behind(service: &Object, namespace: String, port: u16) -> Result<Way, Failure> {
    let spec = &service.data["spec"];
    let selector = spec["selector"].clone();
    if !selector.is_object() {
        let name = service.metadata.name.clone().unwrap_or_default();
        let what = Kind::Service.named(Some(&namespace), &name);
        let message = format!("{what} has no selector, so nobody knows what is behind it");
        return Err(Failure::new(FailureKind::Invalid, message).hint("name an address instead"));
    }
    let found = list(&spec["ports"]).iter().find(|p| p["port"] == port);
    let target = found
        .map(|p| p["targetPort"].clone())
        .filter(|target| !target.is_null());
    Ok(Way::Service {
        namespace,
        selector,
        port: target.unwrap_or_else(|| port.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_as_the_clusters_dns_reads_it() {
        for (host, name, namespace) in [
            ("db", "db", "shop"),
            ("db.other", "db", "other"),
            ("db.other.svc", "db", "other"),
            ("db.other.svc.cluster.local", "db", "other"),
            ("db-0.db.other.svc", "db", "other"),
        ] {
            let expected = (name.to_owned(), namespace.to_owned());
            assert_eq!(service_of(host, "shop"), expected, "{host}");
        }
    }

    #[test]
    fn the_pods_own_port_counts() {
        let service: Object = serde_json::from_value(json!({
            "metadata": { "name": "db" },
            "spec": { "selector": { "app": "db" },
                      "ports": [{ "port": 5432, "targetPort": "sql" }] },
        }))
        .unwrap();
        let Way::Service { port, .. } = behind(&service, "shop".into(), 5432).unwrap() else {
            panic!("no service");
        };
        assert_eq!(port, "sql");
    }
}
