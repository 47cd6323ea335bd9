//! What a pod's template refers to by name.

use std::collections::BTreeSet;

use serde_json::Value;

use super::list;
use crate::k8s::Kind;

/// The account of pods that name none.
pub const DEFAULT_ACCOUNT: &str = "default";

/// A name in a template that stands for another object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    pub kind: Kind,
    pub name: String,
    /// Whether the pod starts without it.
    pub optional: bool,
    /// Who refers to it, for messages: `container postgres`.
    pub by: String,
}

/// Every reference of a pod's `spec`, each once per place.
#[must_use]
pub fn references(spec: &Value) -> Vec<Reference> {
    let mut found = BTreeSet::new();
    for container in ["containers", "initContainers"]
        .iter()
        .flat_map(|of| list(&spec[*of]))
    {
        found.extend(of_container(container));
    }
    for volume in list(&spec["volumes"]) {
        found.extend(of_volume(volume));
    }
    for secret in list(&spec["imagePullSecrets"]) {
        found.extend(reference(Kind::Secret, secret, "name", "the pod"));
    }
    found.insert(Reference {
        kind: Kind::ServiceAccount,
        name: account(spec).to_owned(),
        optional: false,
        by: "the pod".to_owned(),
    });
    found.into_iter().collect()
}

/// The account of a pod; each namespace has one for those that name none.
#[must_use]
pub fn account(spec: &Value) -> &str {
    let named = spec["serviceAccountName"].as_str();
    named
        .filter(|name| !name.is_empty())
        .unwrap_or(DEFAULT_ACCOUNT)
}

/// What the pod's account refers to for it: Secrets to pull images with, which
/// count only where the pod names none. The cluster starts a pod without them.
#[must_use]
pub fn through_account(spec: &Value, account: &Value) -> Vec<Reference> {
    if !list(&spec["imagePullSecrets"]).is_empty() {
        return Vec::new();
    }
    let by = "the pod's account";
    let secrets = list(&account["imagePullSecrets"]).iter();
    secrets
        .filter_map(|secret| reference(Kind::Secret, secret, "name", by))
        .map(|found| Reference {
            optional: true,
            ..found
        })
        .collect()
}

fn of_container(container: &Value) -> Vec<Reference> {
    let by = format!(
        "container {}",
        container["name"].as_str().unwrap_or_default()
    );
    let mut found = Vec::new();
    for variable in list(&container["env"]) {
        let from = &variable["valueFrom"];
        found.extend(reference(Kind::Secret, &from["secretKeyRef"], "name", &by));
        found.extend(reference(
            Kind::ConfigMap,
            &from["configMapKeyRef"],
            "name",
            &by,
        ));
    }
    for source in list(&container["envFrom"]) {
        found.extend(reference(Kind::Secret, &source["secretRef"], "name", &by));
        found.extend(reference(
            Kind::ConfigMap,
            &source["configMapRef"],
            "name",
            &by,
        ));
    }
    found
}

fn of_volume(volume: &Value) -> Vec<Reference> {
    let by = format!("volume {}", volume["name"].as_str().unwrap_or_default());
    let mut found = Vec::new();
    found.extend(reference(
        Kind::Secret,
        &volume["secret"],
        "secretName",
        &by,
    ));
    found.extend(reference(
        Kind::ConfigMap,
        &volume["configMap"],
        "name",
        &by,
    ));
    let claim = &volume["persistentVolumeClaim"];
    found.extend(reference(
        Kind::PersistentVolumeClaim,
        claim,
        "claimName",
        &by,
    ));
    for source in list(&volume["projected"]["sources"]) {
        found.extend(reference(Kind::Secret, &source["secret"], "name", &by));
        found.extend(reference(
            Kind::ConfigMap,
            &source["configMap"],
            "name",
            &by,
        ));
    }
    found
}

fn reference(kind: Kind, holder: &Value, field: &str, by: &str) -> Option<Reference> {
    let name = holder[field].as_str().filter(|name| !name.is_empty())?;
    Some(Reference {
        kind,
        name: name.to_owned(),
        optional: holder["optional"] == true,
        by: by.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_to_refer_is_followed() {
        let spec = json!({
            "serviceAccountName": "db",
            "imagePullSecrets": [{ "name": "pull" }],
            "initContainers": [{ "name": "prepare", "envFrom": [
                { "configMapRef": { "name": "defaults", "optional": true } },
                { "secretRef": { "name": "all" } },
            ]}],
            "containers": [{ "name": "postgres", "env": [
                { "name": "A", "value": "plain" },
                { "name": "B", "valueFrom": { "secretKeyRef": { "name": "auth", "key": "p" } } },
                { "name": "C", "valueFrom": { "configMapKeyRef": { "name": "conf", "key": "c" } } },
                { "name": "D", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
            ]}],
            "volumes": [
                { "name": "tls", "secret": { "secretName": "tls" } },
                { "name": "conf", "configMap": { "name": "conf" } },
                { "name": "old", "persistentVolumeClaim": { "claimName": "shared" } },
                { "name": "mix", "projected": { "sources": [
                    { "secret": { "name": "one" } }, { "configMap": { "name": "two" } } ] } },
                { "name": "tmp", "emptyDir": {} },
            ],
        });
        let found: Vec<String> = references(&spec)
            .into_iter()
            .map(|r| {
                let optional = if r.optional { " (optional)" } else { "" };
                format!("{} {} by {}{optional}", r.kind.name(), r.name, r.by)
            })
            .collect();
        assert_eq!(
            found,
            [
                "ConfigMap conf by container postgres",
                "ConfigMap conf by volume conf",
                "ConfigMap defaults by container prepare (optional)",
                "ConfigMap two by volume mix",
                "PersistentVolumeClaim shared by volume old",
                "Secret all by container prepare",
                "Secret auth by container postgres",
                "Secret one by volume mix",
                "Secret pull by the pod",
                "Secret tls by volume tls",
                "ServiceAccount db by the pod",
            ]
        );
    }

    #[test]
    fn an_account_gives_what_the_pod_does_not_name() {
        let account = json!({ "imagePullSecrets": [{ "name": "registry" }] });
        let names = |spec: &Value| -> Vec<String> {
            let found = through_account(spec, &account);
            assert!(found.iter().all(|one| one.optional));
            found.into_iter().map(|one| one.name).collect()
        };
        assert_eq!(names(&json!({})), ["registry"]);
        let own = json!({ "imagePullSecrets": [{ "name": "pull" }] });
        assert!(names(&own).is_empty());
    }
}
