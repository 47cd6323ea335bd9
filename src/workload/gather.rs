//! Finding a workload's objects, and all that they refer to.

use std::path::PathBuf;

use serde_json::Value;

use super::{DEFAULT_ACCOUNT, Part, Workload, manifests, references, through_account};
use crate::{
    domain::failure::{Failure, FailureKind},
    k8s::{Cluster, Kind, Object},
    workload::Reference,
};

/// Reads a StatefulSet and what it needs from its live namespace.
///
/// # Errors
/// `NotFound` with every reference that leads nowhere; and as the API server
/// answers.
pub async fn from_cluster(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
) -> Result<Workload, Failure> {
    let found = cluster
        .need(Kind::StatefulSet, Some(namespace), name)
        .await?;
    let stateful_set = part(Kind::StatefulSet, found)?;
    let spec = &stateful_set.body["spec"]["template"]["spec"];
    let mut found = Found::default();
    found
        .follow_in(cluster, namespace, references(spec))
        .await?;
    let more = found.through_account(spec);
    found.follow_in(cluster, namespace, more).await?;
    let Found { mut parts, missing } = found;
    for service in cluster.list(Kind::Service, Some(namespace), "").await? {
        let service = part(Kind::Service, service)?;
        if serves(&service, &stateful_set) {
            parts.push(service);
        }
    }
    complete(namespace, stateful_set, parts, &missing)
}

/// Takes a StatefulSet and what it needs from manifests, so that a workload
/// whose namespace is gone can be drilled.
///
/// # Errors
/// As [`from_cluster`].
pub fn from_manifests(files: &[PathBuf], namespace: &str, name: &str) -> Result<Workload, Failure> {
    let all = manifests::read(files)?;
    let of_workload = |part: &&Part| {
        let own = part
            .body
            .pointer("/metadata/namespace")
            .and_then(Value::as_str);
        own.is_none_or(|own| own == namespace)
    };
    let all: Vec<&Part> = all.iter().filter(of_workload).collect();
    let stateful_set = all
        .iter()
        .find(|p| p.kind == Kind::StatefulSet && p.name == name);
    let Some(stateful_set) = stateful_set.map(|part| (*part).clone()) else {
        let message = format!("the manifests hold no StatefulSet {namespace}/{name}");
        return Err(Failure::new(FailureKind::NotFound, message));
    };
    let spec = &stateful_set.body["spec"]["template"]["spec"];
    let mut found = Found::default();
    found.follow_among(&all, references(spec));
    let more = found.through_account(spec);
    found.follow_among(&all, more);
    let Found { mut parts, missing } = found;
    let services = all
        .iter()
        .filter(|p| p.kind == Kind::Service && serves(p, &stateful_set));
    parts.extend(services.map(|part| (*part).clone()));
    complete(namespace, stateful_set, parts, &missing)
}

/// What references have led to.
#[derive(Default)]
struct Found {
    parts: Vec<Part>,
    missing: Vec<Reference>,
}

impl Found {
    async fn follow_in(
        &mut self,
        cluster: &Cluster,
        namespace: &str,
        references: Vec<Reference>,
    ) -> Result<(), Failure> {
        for reference in references {
            if self.has(&reference) {
                continue;
            }
            let kind = reference.kind;
            let object = cluster.get(kind, Some(namespace), &reference.name).await?;
            let part = object.map(|object| part(kind, object)).transpose()?;
            self.add(reference, part);
        }
        Ok(())
    }

    fn follow_among(&mut self, all: &[&Part], references: Vec<Reference>) {
        for reference in references {
            if !self.has(&reference) {
                let part = all.iter().find(|part| is(part, &reference));
                let part = part.map(|part| (*part).clone());
                self.add(reference, part);
            }
        }
    }

    fn has(&self, reference: &Reference) -> bool {
        self.parts.iter().any(|part| is(part, reference))
    }

    fn add(&mut self, reference: Reference, part: Option<Part>) {
        match part {
            Some(part) => self.parts.push(part),
            None if may_lack(&reference) => {}
            None => self.missing.push(reference),
        }
    }

    /// What the account that was found refers to.
    fn through_account(&self, spec: &Value) -> Vec<Reference> {
        let mut accounts = self.parts.iter();
        let account = accounts.find(|part| part.kind == Kind::ServiceAccount);
        account.map_or_else(Vec::new, |account| through_account(spec, &account.body))
    }
}

fn complete(
    namespace: &str,
    stateful_set: Part,
    parts: Vec<Part>,
    missing: &[Reference],
) -> Result<Workload, Failure> {
    if missing.is_empty() {
        return Ok(Workload {
            namespace: namespace.to_owned(),
            stateful_set,
            parts,
        });
    }
    let named: Vec<String> = missing
        .iter()
        .map(|r| {
            format!(
                "{}, which {} refers to",
                r.kind.named(Some(namespace), &r.name),
                r.by
            )
        })
        .collect();
    let of = stateful_set.kind.named(Some(namespace), &stateful_set.name);
    let message = format!("{of} is not whole: there is no {}", named.join(", no "));
    Err(Failure::new(FailureKind::NotFound, message)
        .hint("restore or make what is missing, or name manifests that hold it"))
}

/// A claim may be gone, its data being in the recovery point; and the account
/// `default` is in every namespace.
fn may_lack(reference: &Reference) -> bool {
    reference.optional
        || reference.kind == Kind::PersistentVolumeClaim
        || (reference.kind == Kind::ServiceAccount && reference.name == DEFAULT_ACCOUNT)
}

fn is(part: &Part, reference: &Reference) -> bool {
    part.kind == reference.kind && part.name == reference.name
}

/// Whether a Service sends to the StatefulSet's pods.
fn serves(service: &Part, stateful_set: &Part) -> bool {
    let spec = &stateful_set.body["spec"];
    if spec["serviceName"] == service.name.as_str() {
        return true;
    }
    let Some(selector) = service.body["spec"]["selector"].as_object() else {
        return false;
    };
    let labels = &spec["template"]["metadata"]["labels"];
    !selector.is_empty() && selector.iter().all(|(name, value)| labels[name] == *value)
}

fn part(kind: Kind, object: Object) -> Result<Part, Failure> {
    let name = object.metadata.name.clone().unwrap_or_default();
    let body = serde_json::to_value(object).map_err(|error| {
        let what = kind.named(None, &name);
        Failure::new(
            FailureKind::Internal,
            format!("cannot read {what}: {error}"),
        )
    })?;
    Ok(Part { kind, name, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFESTS: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db, namespace: shop }
spec:
  serviceName: db-headless
  template:
    metadata: { labels: { app: db, tier: data } }
    spec:
      containers:
      - name: postgres
        env: [ { name: P, valueFrom: { secretKeyRef: { name: auth, key: p } } } ]
        envFrom: [ { configMapRef: { name: maybe, optional: true } } ]
---
{ kind: Service, metadata: { name: db-headless } }
---
{ kind: Service, metadata: { name: db }, spec: { selector: { app: db } } }
---
{ kind: Service, metadata: { name: web }, spec: { selector: { app: web } } }
---
{ kind: Secret, metadata: { name: auth, namespace: elsewhere } }
";

    fn gathered(more: &str) -> Result<Workload, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db.yaml");
        std::fs::write(&file, format!("{MANIFESTS}{more}")).unwrap();
        from_manifests(&[file], "shop", "db")
    }

    #[test]
    fn what_is_needed_is_taken_and_nothing_else() {
        let workload = gathered("---\n{ kind: Secret, metadata: { name: auth } }\n").unwrap();
        let names: Vec<_> = workload
            .parts
            .iter()
            .map(|part| part.name.as_str())
            .collect();
        assert_eq!(names, ["auth", "db-headless", "db"]);
    }

    #[test]
    fn a_reference_that_leads_nowhere_is_named() {
        let failure = gathered("").unwrap_err();
        assert_eq!(
            failure.message,
            "StatefulSet shop/db is not whole: there is no Secret shop/auth, which container \
             postgres refers to"
        );
        let failure = from_manifests(&[], "shop", "db").unwrap_err();
        assert_eq!(failure.kind, FailureKind::NotFound);
    }
}
