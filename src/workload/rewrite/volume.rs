//! Volumes of the pod: kept where they come from the sandbox itself.

use serde_json::{Value, json};

use super::Rules;
use crate::workload::{Workload, list};

/// Kinds of volumes that reach nothing outside. Every other kind (a host's
/// directory, a network share, a driver's own) may be production's.
const HARMLESS: [&str; 5] = ["emptyDir", "configMap", "secret", "downwardAPI", "image"];

/// All volumes of the pod, those of its claim templates included.
pub(super) fn volumes(workload: &Workload, rules: &Rules, notes: &mut Vec<String>) -> Vec<Value> {
    let mut volumes = Vec::new();
    for template in workload.claim_templates() {
        let name = template["metadata"]["name"].as_str().unwrap_or_default();
        volumes.extend(claimed(workload, name, rules.ordinal));
    }
    for volume in list(&workload.template()["spec"]["volumes"]) {
        volumes.push(rewrite(workload, volume, rules.ordinal, notes));
    }
    volumes
}

fn claimed(workload: &Workload, volume: &str, ordinal: u32) -> Option<Value> {
    let claim = workload.claim(volume, ordinal)?;
    Some(json!({ "name": volume, "persistentVolumeClaim": { "claimName": claim } }))
}

fn rewrite(workload: &Workload, volume: &Value, ordinal: u32, notes: &mut Vec<String>) -> Value {
    let name = volume["name"].as_str().unwrap_or_default();
    if volume.get("persistentVolumeClaim").is_some() {
        let claimed = claimed(workload, name, ordinal);
        return claimed.unwrap_or_else(|| empty(name));
    }
    if volume.get("projected").is_some() {
        return projected(volume, notes);
    }
    if HARMLESS.iter().any(|kind| volume.get(*kind).is_some()) {
        return volume.clone();
    }
    if let Some(ephemeral) = volume.get("ephemeral") {
        notes.push(format!(
            "volume {name} comes as an empty directory: the cluster would make an ephemeral volume \
             only for a pod that can use it already, before it is looked at"
        ));
        return directory(name, ephemeral);
    }
    let fields = volume.as_object().into_iter().flatten();
    let kind = fields
        .map(|(kind, _)| kind.as_str())
        .find(|kind| *kind != "name");
    let kind = kind.unwrap_or("unknown");
    notes.push(format!(
        "volume {name} comes empty: {kind} reaches beyond the sandbox"
    ));
    empty(name)
}

fn empty(name: &str) -> Value {
    json!({ "name": name, "emptyDir": {} })
}

/// Without tokens for the API server.
fn projected(volume: &Value, notes: &mut Vec<String>) -> Value {
    let mut volume = volume.clone();
    let sources = list(&volume["projected"]["sources"]);
    let kept: Vec<Value> = sources
        .iter()
        .filter(|source| {
            source.get("serviceAccountToken").is_none() && source.get("podCertificate").is_none()
        })
        .cloned()
        .collect();
    if kept.len() < sources.len() {
        let name = volume["name"].as_str().unwrap_or_default();
        notes.push(format!(
            "volume {name} comes without a token for the API server"
        ));
    }
    volume["projected"]["sources"] = kept.into();
    volume
}

/// As large as the volume would be.
fn directory(name: &str, ephemeral: &Value) -> Value {
    let size = ephemeral.pointer("/volumeClaimTemplate/spec/resources/requests/storage");
    match size {
        Some(size) => json!({ "name": name, "emptyDir": { "sizeLimit": size } }),
        None => empty(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{k8s::Kind, workload::Part};

    #[test]
    fn no_volume_comes_that_was_not_looked_at() {
        let template = json!({ "spec": { "volumes": [
            { "name": "scratch", "ephemeral": { "volumeClaimTemplate": { "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
                "resources": { "requests": { "storage": "2Gi" } } } } } },
            { "name": "host", "hostPath": { "path": "/" } },
            { "name": "share", "nfs": { "server": "s", "path": "/" } },
            { "name": "inline", "csi": { "driver": "d" } },
            { "name": "tmp", "emptyDir": { "medium": "Memory" } },
        ]}});
        let workload = Workload {
            namespace: "shop".to_owned(),
            stateful_set: Part {
                kind: Kind::StatefulSet,
                name: "db".to_owned(),
                body: json!({ "spec": { "template": template } }),
            },
            parts: Vec::new(),
        };
        let mut notes = Vec::new();
        let volumes = volumes(&workload, &Rules::default(), &mut notes);
        let expected = json!([
            { "name": "scratch", "emptyDir": { "sizeLimit": "2Gi" } },
            { "name": "host", "emptyDir": {} },
            { "name": "share", "emptyDir": {} },
            { "name": "inline", "emptyDir": {} },
            { "name": "tmp", "emptyDir": { "medium": "Memory" } },
        ]);
        assert_eq!(json!(volumes), expected);
        assert_eq!(notes.len(), 4, "{notes:?}");
    }
}
