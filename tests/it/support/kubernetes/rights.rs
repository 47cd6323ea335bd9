//! What may be asked for: everything, or what the manifests give to Lifeboat's
//! account.

use lifeboat::k8s::Kind;
use serde_json::{Value, json};

use super::{
    Key, State,
    http::{Reply, Request},
    requests::{Asked, Verb},
    store::{Refusal, now},
};

/// What lies in namespaces, and is in nobody's hands in the whole cluster but an
/// administrator's.
fn is_of_namespaces(kind: Kind) -> bool {
    use Kind::{
        ConfigMap, Event, NetworkPolicy, PersistentVolumeClaim, Pod, ResourceQuota, Secret,
        Service, VolumeGroupSnapshot, VolumeSnapshot,
    };
    [
        ConfigMap,
        Event,
        NetworkPolicy,
        PersistentVolumeClaim,
        Pod,
        ResourceQuota,
        Secret,
        Service,
        VolumeGroupSnapshot,
        VolumeSnapshot,
    ]
    .contains(&kind)
}

/// Whether the account has bound its role in a run's namespace.
fn is_bound(state: &State, namespace: &str) -> bool {
    let binding = Key::new(Kind::RoleBinding, Some(namespace), "lifeboat");
    state.store.get(&binding).is_some()
}

/// Why a request may not be made, if it may not.
pub fn against(state: &State, asked: &Asked) -> Option<Refusal> {
    let kind = asked.kind.filter(|_| state.restricted)?;
    let reads = matches!(asked.verb, Verb::List | Verb::Watch);
    let refused = match &asked.namespace {
        None => reads && is_of_namespaces(kind),
        Some(namespace) => {
            namespace.starts_with("lb-") && kind != Kind::RoleBinding && !is_bound(state, namespace)
        }
    };
    let verb = format!("{:?}", asked.verb).to_lowercase();
    let message = format!(
        "{} is forbidden: User \"lifeboat\" cannot {verb} resource \"{}\"",
        kind.plural(),
        kind.plural()
    );
    refused.then_some(Refusal {
        code: 403,
        reason: "Forbidden",
        message,
    })
}

/// Whether one thing may be done.
pub fn review(state: &State, request: &Request) -> Reply {
    let mut review: Value = serde_json::from_slice(&request.body).unwrap();
    let attributes = &review["spec"]["resourceAttributes"];
    let name = attributes["name"].as_str();
    let of_all = attributes["resource"] == "*";
    let allowed = name.is_none_or(|name| state.denies != Some(name));
    review["status"] = json!({ "allowed": allowed && !(of_all && state.restricted) });
    Reply::json(201, &review)
}

/// What may be done in a namespace.
pub fn rules(state: &State, request: &Request) -> Reply {
    let mut review: Value = serde_json::from_slice(&request.body).unwrap();
    let namespace = review["spec"]["namespace"].as_str().unwrap_or_default();
    let all = json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] });
    let parts = json!({ "apiGroups": ["*"], "resources": ["*/log"], "verbs": ["*"] });
    let rules = if state.restricted && !is_bound(state, namespace) {
        json!([])
    } else {
        json!([all, parts])
    };
    review["status"] = json!({
        "resourceRules": rules, "nonResourceRules": [], "incomplete": false,
    });
    Reply::json(201, &review)
}

/// Who asks.
pub fn who(request: &Request) -> Reply {
    let mut review: Value = serde_json::from_slice(&request.body).unwrap();
    let account = "system:serviceaccount:lifeboat:lifeboat";
    review["status"] = json!({ "userInfo": { "username": account } });
    review["metadata"] = json!({ "creationTimestamp": now() });
    Reply::json(201, &review)
}
