//! How much the sandbox may take: as much as the workload has, and no more.

use serde_json::{Value, json};

use crate::{
    domain::failure::Failure,
    k8s::{Kind, Maker},
    workload::{list, rewrite::Rewritten},
};

/// Pods in a sandbox at most: the copy, and one of Lifeboat's own.
const PODS: u32 = 3;

/// Limits a namespace to what the rewritten workload asks for.
///
/// # Errors
/// If the API server refuses.
pub(super) async fn limit(
    maker: &Maker,
    namespace: &str,
    rewritten: &Rewritten,
) -> Result<(), Failure> {
    let claims = rewritten.claims.len() + 1;
    let quota = json!({ "spec": { "hard": {
        "pods": PODS.to_string(),
        "persistentvolumeclaims": claims.to_string(),
        "services": (rewritten.parts.len() + 1).to_string(),
    }}});
    maker
        .make(Kind::ResourceQuota, Some(namespace), "lifeboat-size", quota)
        .await?;
    let Some(largest) = largest(&rewritten.pod.body) else {
        return Ok(());
    };
    let range = json!({ "spec": { "limits": [{ "type": "Container", "max": largest }] } });
    maker
        .make(Kind::LimitRange, Some(namespace), "lifeboat-size", range)
        .await?;
    Ok(())
}

/// The limits of the engine's container, where it has any: nothing in the
/// sandbox may take more.
fn largest(pod: &Value) -> Option<Value> {
    let containers = list(&pod["spec"]["containers"]);
    // A limit for all would be one for those that have none.
    let all_limited = containers
        .iter()
        .all(|c| c.pointer("/resources/limits").is_some());
    let limits = containers.first()?.pointer("/resources/limits")?;
    all_limited.then(|| limits.clone())
}
