//! How much the sandbox may take: as much as the workload has, and no more.

use serde_json::{Map, Value, json};

use crate::{
    domain::failure::Failure,
    k8s::{Kind, Maker},
    sandbox::kubernetes::PODS,
    workload::{
        list,
        rewrite::{OWN, Rewritten, bytes, quantity, whole},
    },
};

/// Containers of Lifeboat's own pods: each has one that brings the binary, and
/// one that works.
const OWN_CONTAINERS: u64 = 2;

/// Limits a namespace to what the rewritten workload asks for, and the volume
/// of a dump, if there is one. How many pods there may be is limited from the
/// namespace's first moment.
///
/// # Errors
/// If the API server refuses.
pub(super) async fn limit(
    maker: &Maker,
    namespace: &str,
    rewritten: &Rewritten,
    dump: Option<&Value>,
) -> Result<(), Failure> {
    let largest = largest(&rewritten.pod.body);
    let mut hard = json!({
        "persistentvolumeclaims": (rewritten.claims.len() + 1).to_string(),
        "services": (rewritten.parts.len() + 1).to_string(),
    });
    let claims = rewritten.claims.iter().map(|claim| &claim.body);
    if let Some(bytes) = storage(claims.chain(dump)) {
        hard["requests.storage"] = bytes.to_string().into();
    }
    for (name, amount) in largest
        .iter()
        .flat_map(|of| in_all(&rewritten.pod.body, of))
    {
        hard[name] = amount.into();
    }
    let quota = json!({ "spec": { "hard": hard } });
    maker
        .make(Kind::ResourceQuota, Some(namespace), "lifeboat-size", quota)
        .await?;
    let Some(largest) = largest else {
        return Ok(());
    };
    let range = json!({ "spec": { "limits": [{ "type": "Container", "max": largest }] } });
    maker
        .make(Kind::LimitRange, Some(namespace), "lifeboat-size", range)
        .await?;
    Ok(())
}

/// What the claims ask for together, in bytes; `None` if one does not say it.
fn storage<'a>(claims: impl Iterator<Item = &'a Value>) -> Option<u64> {
    claims
        .map(|claim| bytes(claim.pointer("/spec/resources/requests/storage")?))
        .sum()
}

/// What all pods may take together, if each of their containers takes as much
/// as the largest.
fn in_all(pod: &Value, largest: &Map<String, Value>) -> Vec<(&'static str, String)> {
    let of_copy: usize = ["containers", "initContainers"]
        .iter()
        .map(|field| list(&pod["spec"][field]).len())
        .sum();
    let containers = of_copy as u64 + OWN_CONTAINERS * u64::from(PODS - 1);
    let of_each = |name: &str| largest.get(name).and_then(quantity);
    let cpu = of_each("cpu").map(|cpu| format!("{}m", containers * whole(cpu * 1000.0)));
    let memory = of_each("memory").map(|memory| (containers * whole(memory)).to_string());
    [("limits.cpu", cpu), ("limits.memory", memory)]
        .into_iter()
        .filter_map(|(name, amount)| Some((name, amount?)))
        .collect()
}

/// The largest limits that a container of the workload has, where all have
/// some: a range would give limits to those that have none. Lifeboat's own get
/// them so.
fn largest(pod: &Value) -> Option<Map<String, Value>> {
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
    largest.filter(|limits| !limits.is_empty())
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
            json!({ "cpu": "1", "memory": "1Gi" }).as_object().cloned()
        );
        assert_eq!(largest(&pod(&engine, &json!({}))), None);
        assert_eq!(largest(&json!({ "spec": {} })), None);
    }

    #[test]
    fn all_pods_fit_together_and_one_more_container_does_not() {
        let limits = json!({ "limits": { "cpu": "500m", "memory": "1Gi" } });
        let pod = pod(&limits, &limits);
        let of_each = largest(&pod).unwrap();
        // Four of the copy, and two for each of the other two pods.
        let expected = [
            ("limits.cpu", "4000m".to_owned()),
            ("limits.memory", (8_u64 << 30).to_string()),
        ];
        assert_eq!(in_all(&pod, &of_each), expected);
    }

    #[test]
    fn storage_is_what_all_claims_ask_for() {
        let claim =
            |size: &str| json!({ "spec": { "resources": { "requests": { "storage": size } } } });
        let claims = [claim("1Gi"), claim("512Mi")];
        assert_eq!(storage(claims.iter()), Some(3 << 29));
        let unsaid = json!({ "spec": {} });
        assert_eq!(storage(claims.iter().chain([&unsaid])), None);
    }
}
