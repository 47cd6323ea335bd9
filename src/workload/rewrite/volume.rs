//! Volumes of the pod: kept where they come from the sandbox itself.

use serde_json::{Value, json};

use super::{Rules, claim, tell, without};
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
        volumes.push(rewrite(workload, volume, rules, notes));
    }
    volumes
}

fn claimed(workload: &Workload, volume: &str, ordinal: u32) -> Option<Value> {
    let claim = workload.claim(volume, ordinal)?;
    Some(json!({ "name": volume, "persistentVolumeClaim": { "claimName": claim } }))
}

fn rewrite(workload: &Workload, volume: &Value, rules: &Rules, notes: &mut Vec<String>) -> Value {
    let name = volume["name"].as_str().unwrap_or_default();
    if volume.get("persistentVolumeClaim").is_some() {
        let claimed = claimed(workload, name, rules.ordinal);
        return claimed.unwrap_or_else(|| empty(name));
    }
    if volume.get("projected").is_some() {
        return projected(volume, notes);
    }
    if HARMLESS.iter().any(|kind| volume.get(*kind).is_some()) {
        return volume.clone();
    }
    if let Some(ephemeral) = volume.get("ephemeral") {
        let ephemeral = made_anew(name, ephemeral, rules, notes);
        return json!({ "name": name, "ephemeral": ephemeral });
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

/// Of the class that the drill names, and with nothing in it.
fn made_anew(name: &str, ephemeral: &Value, rules: &Rules, notes: &mut Vec<String>) -> Value {
    let mut ephemeral = ephemeral.clone();
    let of_volume = format!("volume {name}");
    let spec = ephemeral.pointer_mut("/volumeClaimTemplate/spec");
    let Some(spec) = spec.and_then(Value::as_object_mut) else {
        return ephemeral;
    };
    let dropped = without(spec, &["volumeName"]).into_iter();
    let dropped = dropped.chain(without(spec, &claim::DROPPED));
    tell(notes, &of_volume, dropped.collect());
    if let Some(class) = spec.get("storageClassName").and_then(Value::as_str) {
        let mapped = claim::mapped(class, &of_volume, rules, notes).to_owned();
        spec.insert("storageClassName".to_owned(), mapped.into());
    }
    ephemeral
}
