//! The ways out of the sandbox: for the pods that work at the source, to the
//! source alone; for those that work at a bucket, to the bucket.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    RemoteEngine,
    objects::{AT_BUCKET, AT_SOURCE, ROLE},
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
    /// Any address.
    Port(u16),
}

impl RemoteEngine {
    /// Opens the way to the source.
    ///
    /// # Errors
    /// If the source's host is neither a Service of the cluster nor an address.
    pub(super) async fn open_way(&self, maker: &Maker, namespace: &str) -> Result<(), Failure> {
        let way = (self.way_to_source().await?, [AT_SOURCE].as_slice());
        open(maker, namespace, "lifeboat-to-source", way).await
    }

    /// Where the source is.
    pub(super) async fn way_to_source(&self) -> Result<Way, Failure> {
        let connection = self.connection()?;
        let (host, port) = (connection.host.as_str(), connection.port);
        self.way(host, port).await?.ok_or_else(|| {
            let message = format!("the source's host {host} is no Service of the cluster");
            Failure::new(FailureKind::Invalid, message).hint(
                "name a Service, such as db.shop.svc, or an address: the fence lets nothing else \
                 through",
            )
        })
    }

    /// Opens the way to the bucket, for pods that run nothing but Lifeboat and
    /// the dump's program. Gives the port that is open to any address now, if one
    /// is.
    ///
    /// # Errors
    /// If its host cannot be told.
    pub(super) async fn open_way_to_bucket(
        &self,
        maker: &Maker,
        namespace: &str,
    ) -> Result<Option<u16>, Failure> {
        let Some(place) = self.drill.bucket() else {
            return Ok(None);
        };
        let (host, port) = place.host_and_port();
        let way = self.way(&host, port).await?;
        // A policy knows no names of hosts outside.
        let to_all = way.is_none().then_some(port);
        let way = (
            way.unwrap_or(Way::Port(port)),
            [AT_SOURCE, AT_BUCKET].as_slice(),
        );
        open(maker, namespace, "lifeboat-to-bucket", way).await?;
        Ok(to_all)
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

    /// Where a host is; `None` if it is neither an address nor a Service.
    async fn way(&self, host: &str, port: u16) -> Result<Option<Way>, Failure> {
        if let Ok(address) = host.parse() {
            return Ok(Some(Way::Address(address, port)));
        }
        let (name, namespace) = service_of(host, &self.workload.namespace);
        let service = if namespace == self.workload.namespace {
            self.of_workload(Kind::Service, &name).await?
        } else {
            let cluster = self.cluster().await?;
            cluster.get(Kind::Service, Some(&namespace), &name).await?
        };
        service
            .map(|service| behind(&service, namespace, port))
            .transpose()
    }
}

impl Way {
    /// As a policy says it.
    fn rule(self) -> Value {
        let (to, port) = match self {
            Self::Service {
                namespace,
                selector,
                port,
            } => {
                let to = json!([{
                    "namespaceSelector": { "matchLabels": {
                        "kubernetes.io/metadata.name": namespace } },
                    "podSelector": { "matchLabels": selector },
                }]);
                (to, port)
            }
            Self::Address(address, port) => {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                let block = json!([{ "ipBlock": { "cidr": format!("{address}/{bits}") } }]);
                (block, port.into())
            }
            Self::Port(port) => (json!([]), port.into()),
        };
        json!({ "to": to, "ports": [{ "protocol": "TCP", "port": port }] })
    }
}

/// Lets the pods of some roles go there, and ask for names.
async fn open(
    maker: &Maker,
    namespace: &str,
    name: &str,
    (way, roles): (Way, &[&str]),
) -> Result<(), Failure> {
    let names = json!({ "ports": [
        { "protocol": "UDP", "port": 53 }, { "protocol": "TCP", "port": 53 },
    ]});
    let body = json!({ "spec": {
        "podSelector": { "matchExpressions": [
            { "key": ROLE, "operator": "In", "values": roles },
        ]},
        "policyTypes": ["Egress"],
        "egress": [way.rule(), names],
    }});
    let kind = Kind::NetworkPolicy;
    maker
        .make(kind, Some(namespace), name, body)
        .await
        .map(drop)
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
