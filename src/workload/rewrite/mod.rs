//! A workload's objects as they go into a sandbox.
//!
//! What makes recovery slow or fast stays as it is: images, environment,
//! resources, storage classes, probes. What would reach beyond the sandbox, or
//! give it rights or precedence, goes; each time a note says so.

mod claim;
#[cfg(test)]
mod hostile;
mod pod;
mod reach;
mod security;
mod service;
mod volume;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{DEFAULT_ACCOUNT, Part, Workload};
use crate::{domain::failure::Failure, k8s::Kind};

pub use self::{
    claim::{bytes, quantity, whole},
    security::RunAs,
};

/// What is to be rewritten, and how.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The container in which the engine runs.
    pub engine: String,
    /// Which of the replicas is restored.
    pub ordinal: u32,
    /// Sidecars to keep. Init containers stay anyway.
    pub keep: Vec<String>,
    /// Init containers to leave out.
    pub leave_out: Vec<String>,
    /// Storage classes of the sandbox by those of the source.
    pub storage_classes: BTreeMap<String, String>,
    /// The user of all containers, where the template names none or root.
    pub run_as: Option<RunAs>,
    /// Recovery points by volume; other volumes come empty.
    pub restored: BTreeMap<String, Restored>,
    /// Arguments for the engine, after its own: the last one counts.
    pub arguments: Vec<String>,
    pub agent: Agent,
}

/// What a volume is restored from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// A VolumeSnapshot in the sandbox.
    pub snapshot: String,
    /// The least size a volume made of it may have, in bytes.
    pub least_bytes: u64,
}

/// Lifeboat's own part in the pod.
#[derive(Debug, Clone, Default)]
pub struct Agent {
    /// The image that holds Lifeboat's binary.
    pub image: String,
    /// The Secret that holds the task.
    pub task: String,
    /// Arguments of the agent before the engine's first start, if any.
    pub before: Option<Vec<String>>,
    /// Arguments of the agent beside the engine.
    pub beside: Vec<String>,
    /// Further claims for it, by the directory at which it finds each.
    pub claims: BTreeMap<String, String>,
}

/// Where the agent's binary lies in every container that it runs in.
pub const BINARY: &str = "/lifeboat/bin/lifeboat";

/// A directory that engine and agent share, for sockets.
pub const SHARED: &str = "/lifeboat/run";

/// Where the agent finds its task.
pub const TASK: &str = "/lifeboat/task";

/// What the names of Lifeboat's own containers begin with.
pub const OWN: &str = "lifeboat-";

/// The name of the agent's container.
pub const AGENT: &str = "lifeboat-agent";

/// The names of Lifeboat's init containers, in their order.
pub const FIRST: [&str; 2] = ["lifeboat-install", "lifeboat-before"];

/// Has the last words of those that fail in the pod's status.
pub const LAST_WORDS: &str = "FallbackToLogsOnError";

/// What goes into the sandbox, in the order in which it is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Rewritten {
    /// Everything but claims and the pod.
    pub parts: Vec<Part>,
    pub claims: Vec<Part>,
    pub pod: Part,
    /// What was changed or left out, for the record.
    pub notes: Vec<String>,
}

/// Rewrites a workload.
///
/// # Errors
/// If it cannot live in a sandbox, with what the drill may say about it.
pub fn rewrite(workload: &Workload, rules: &Rules) -> Result<Rewritten, Failure> {
    let mut notes = marks(workload);
    let mut parts = Vec::new();
    for part in &workload.parts {
        let body = match part.kind {
            Kind::ConfigMap => Some(kept(part, &["data", "binaryData"])),
            Kind::Secret => secret(part, &mut notes),
            Kind::Service => service::rewrite(part, &mut notes),
            // Each namespace has one of its own.
            Kind::ServiceAccount if part.name == DEFAULT_ACCOUNT => None,
            Kind::ServiceAccount => Some(account(part)),
            _ => None,
        };
        parts.extend(body.map(|body| Part {
            kind: part.kind,
            name: part.name.clone(),
            body,
        }));
    }
    let claims = claim::claims(workload, rules, &mut notes)?;
    let pod = pod::pod(workload, rules, &mut notes)?;
    Ok(Rewritten {
        parts,
        claims,
        pod,
        notes,
    })
}

/// The Secrets with which the workload's images are pulled: every pod in the
/// sandbox needs them, Lifeboat's own, too.
#[must_use]
pub fn pull_secrets(workload: &Workload) -> Vec<Part> {
    let names = workload.pull_secrets();
    let secrets = workload.parts.iter();
    let secrets = secrets.filter(|part| part.kind == Kind::Secret && names.contains(&part.name));
    let rewritten = secrets.filter_map(|part| {
        let body = secret(part, &mut Vec::new())?;
        Some(Part {
            body,
            ..part.clone()
        })
    });
    rewritten.collect()
}

/// How a pod names them.
#[must_use]
pub fn named_pull_secrets(workload: &Workload) -> Value {
    let names = workload.pull_secrets().into_iter();
    names.map(|name| json!({ "name": name })).collect()
}

/// Takes fields away; gives the names of those that said something.
fn without(object: &mut Map<String, Value>, fields: &[&str]) -> Vec<String> {
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    };
    let taken = fields.iter().filter(|field| {
        let value = object.remove(**field);
        value.is_some_and(|value| says(&value))
    });
    taken.map(|field| (*field).to_owned()).collect()
}

/// Says what something in the sandbox lacks.
fn tell(notes: &mut Vec<String>, what: &str, mut dropped: Vec<String>) {
    dropped.dedup();
    if !dropped.is_empty() {
        notes.push(format!("{what} comes without {}", dropped.join(", ")));
    }
}

/// Says which labels and annotations are left behind, each once.
fn marks(workload: &Workload) -> Vec<String> {
    let bodies = workload.parts.iter().map(|part| &part.body);
    let bodies = bodies.chain([workload.template()]);
    let names: BTreeSet<&str> = bodies
        .flat_map(|body| ["labels", "annotations"].map(|field| &body["metadata"][field]))
        .filter_map(Value::as_object)
        .flat_map(|entries| entries.keys().map(String::as_str))
        .filter(|name| foreign(name))
        .collect();
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let mut notes = Vec::new();
    tell(&mut notes, "the copy", names);
    notes
}

/// Some fields of an object, and of its metadata what means something
/// elsewhere, too.
fn kept(part: &Part, fields: &[&str]) -> Value {
    let mut body = Map::new();
    body.insert("metadata".to_owned(), metadata(&part.body));
    for field in fields {
        if let Some(value) = part.body.get(*field) {
            body.insert((*field).to_owned(), value.clone());
        }
    }
    Value::Object(body)
}

/// Labels and annotations, without those by which others find their objects.
fn metadata(body: &Value) -> Value {
    let entries = |field: &str| -> Map<String, Value> {
        let all = body["metadata"][field]
            .as_object()
            .cloned()
            .unwrap_or_default();
        all.into_iter().filter(|(name, _)| !foreign(name)).collect()
    };
    json!({ "labels": entries("labels"), "annotations": entries("annotations") })
}

/// Whether a label or annotation belongs to a tool that would take the copy
/// for its own: deployers, meshes, and this program's own marks.
fn foreign(name: &str) -> bool {
    const FOREIGN: [&str; 10] = [
        "kubectl.kubernetes.io/",
        "app.kubernetes.io/managed-by",
        "app.kubernetes.io/instance",
        "argocd.argoproj.io/",
        "kustomize.toolkit.fluxcd.io/",
        "helm.toolkit.fluxcd.io/",
        "meta.helm.sh/",
        "helm.sh/",
        "sidecar.istio.io/",
        "lifeboat.dev/",
    ];
    FOREIGN.iter().any(|prefix| name.starts_with(prefix))
}

fn secret(part: &Part, notes: &mut Vec<String>) -> Option<Value> {
    if part.body["type"] == "kubernetes.io/service-account-token" {
        notes.push(format!(
            "Secret {} is left out: it gives access to the cluster",
            part.name
        ));
        return None;
    }
    Some(kept(part, &["data", "type"]))
}

fn account(part: &Part) -> Value {
    let mut body = kept(part, &["imagePullSecrets"]);
    body["automountServiceAccountToken"] = false.into();
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: Kind, body: Value) -> Part {
        Part {
            kind,
            name: "x".to_owned(),
            body,
        }
    }

    #[test]
    fn what_means_something_only_where_it_was_is_left_there() {
        let map = part(
            Kind::ConfigMap,
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "immutable": true, "data": { "a": "1" },
                "metadata": {
                    "name": "x", "namespace": "shop", "uid": "u", "resourceVersion": "7",
                    "ownerReferences": [{ "name": "operator" }], "finalizers": ["f"],
                    "labels": { "app": "db", "app.kubernetes.io/managed-by": "Helm",
                                "lifeboat.dev/run": "of another run" },
                    "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}" },
                },
            }),
        );
        assert_eq!(
            kept(&map, &["data", "binaryData"]),
            json!({ "metadata": { "labels": { "app": "db" }, "annotations": {} },
                    "data": { "a": "1" } })
        );
    }

    #[test]
    fn nothing_that_gives_access_to_the_cluster_comes_along() {
        let mut notes = Vec::new();
        let token =
            json!({ "type": "kubernetes.io/service-account-token", "data": { "token": "x" } });
        assert_eq!(secret(&part(Kind::Secret, token), &mut notes), None);
        assert_eq!(notes.len(), 1);
        let bound = json!({ "secrets": [{ "name": "t" }], "imagePullSecrets": [{ "name": "p" }] });
        let account = account(&part(Kind::ServiceAccount, bound));
        assert_eq!(account["automountServiceAccountToken"], false);
        assert_eq!(account.get("secrets"), None);
        assert_eq!(account["imagePullSecrets"][0]["name"], "p");
    }
}
