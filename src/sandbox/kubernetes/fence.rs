//! The fence around a scratch namespace.

use serde_json::json;

use crate::{
    domain::failure::Failure,
    k8s::{Kind, Maker},
};

/// The name of the policy that lets nothing in or out.
const DENY_ALL: &str = "lifeboat-deny-all";

/// Pods in a sandbox at most: the copy, one of Lifeboat's own, and one that is
/// going.
pub const PODS: u32 = 3;

/// Closes the namespace: no connection in or out, whatever pods it will hold.
pub(super) async fn put_up(maker: &Maker, namespace: &str) -> Result<(), Failure> {
    let closed = json!({ "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] } });
    maker
        .make(Kind::NetworkPolicy, Some(namespace), DENY_ALL, closed)
        .await?;
    // No way around it: the quota leaves no room for what would open it, nor for
    // more pods than a run has.
    let no_doors = json!({ "spec": { "hard": {
        "services.loadbalancers": "0", "services.nodeports": "0", "pods": PODS.to_string(),
    }}});
    maker
        .make(
            Kind::ResourceQuota,
            Some(namespace),
            "lifeboat-no-doors",
            no_doors,
        )
        .await?;
    Ok(())
}
