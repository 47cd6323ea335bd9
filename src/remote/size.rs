//! How much the sandbox may take: as much as the workload has, and no more.

use serde_json::{Map, Value, json};

use crate::{
    domain::failure::Failure,
    k8s::{Kind, Maker},
    workload::{
        list,
        rewrite::{OWN, Rewritten, quantity},
    },
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

/// The largest limits that a container of the workload has, where all have
/// some: a range would give limits to those that have none. Lifeboat's own get
/// them so.
fn largest(pod: &Value) -> Option<Value> {
    let containers = ["containers", "initContainers"].map(|field| list(&pod["spec"][field]));
    let is_own = |container: &&Value| {
        let name = container["name"].as_str().unwrap_or_default();
        name.starts_with(OWN)
    };
    let mut largest: Option<Map<String, Value>> = None;
    for container in containers.into_iter().flatten().filter(|one| !is_own(one)) {
        let limits = container.pointer("/resources/limits")?.as_object()?;
        largest = Some(match largest {
            None => limits.clone(),
            Some(others) => both(others, limits),
        });
    }
    let largest = largest.filter(|limits| !limits.is_empty());
    largest.map(Value::Object)
}

/// The larger of each resource that both limit.
fn both(one: Map<String, Value>, other: &Map<String, Value>) -> Map<String, Value> {
    let larger = |(name, mine): (String, Value)| {
        let theirs = other.get(&name)?;
        let value = if quantity(theirs) > quantity(&mine) {
            theirs.clone()
        } else {
            mine
        };
        Some((name, value))
    };
    one.into_iter().filter_map(larger).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(engine: &Value, sidecar: &Value) -> Value {
        json!({ "spec": {
            "containers": [
                { "name": "db", "resources": engine },
                { "name": "side", "resources": sidecar },
                { "name": "lifeboat-agent", "resources": { "requests": { "cpu": "1" } } },
            ],
            "initContainers": [{ "name": "lifeboat-install" }],
        }})
    }

    #[test]
    fn the_largest_of_all_counts_and_nobody_gets_a_limit_who_had_none() {
        let engine = json!({ "limits": { "cpu": "500m", "memory": "1Gi", "x/gpu": "1" } });
        let sidecar = json!({ "limits": { "cpu": "1", "memory": "64Mi" } });
        assert_eq!(
            largest(&pod(&engine, &sidecar)),
            Some(json!({ "cpu": "1", "memory": "1Gi" }))
        );
        assert_eq!(largest(&pod(&engine, &json!({}))), None);
        assert_eq!(largest(&json!({ "spec": {} })), None);
    }
}
