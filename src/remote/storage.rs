//! Storage classes of the sandbox's claims, and whether they can be used.

use kube::ResourceExt;
use serde_json::Value;

use crate::{
    domain::failure::{Failure, FailureKind},
    k8s::{Cluster, Kind, Object},
};

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

const HINT: &str = "map it to another one: sandbox.kubernetes.storageClasses";

/// The storage class of a claim that is to be made. What the run makes of it
/// has to go when the claim goes.
///
/// # Errors
/// If there is none, or if it retains what is deleted.
pub(super) async fn class_for(cluster: &Cluster, claim: &Value) -> Result<Object, Failure> {
    let name = claim.pointer("/spec/storageClassName");
    let name = name.and_then(Value::as_str);
    let choose = |classes: &[Object]| {
        let class = match name {
            // A claim may say that it wants none.
            Some("") => None,
            Some(name) => classes.iter().find(|class| class.name_any() == name),
            None => default_of(classes),
        };
        let class = class.ok_or_else(|| none(name))?;
        goes(class)?;
        Ok(class.clone())
    };
    cluster.classes(Kind::StorageClass, choose).await
}

/// That there is no such class.
fn none(name: Option<&str>) -> Failure {
    let message = match name {
        Some("") => {
            "a claim has no storage class: its volume is one that somebody has made by hand"
                .to_owned()
        }
        Some(name) => format!("there is no storage class {name}"),
        None => "the cluster has no default storage class".to_owned(),
    };
    Failure::new(FailureKind::NotFound, message).hint(HINT)
}

/// Whether volumes of a class go with their claims.
fn goes(class: &Object) -> Result<(), Failure> {
    // What it does not say the API server takes for Delete.
    let policy = class.data["reclaimPolicy"].as_str().unwrap_or("Delete");
    if policy == "Delete" {
        return Ok(());
    }
    let message = format!(
        "storage class {} has the reclaim policy {policy}: every drill would leave a volume with \
         the workload's data",
        class.name_any()
    );
    Err(Failure::new(FailureKind::Invalid, message).hint(format!(
        "{HINT}; one of the same driver and parameters, with reclaimPolicy Delete"
    )))
}

/// Whether the class makes no volume before there is a pod.
pub(super) fn waits(class: &Object) -> bool {
    class.data["volumeBindingMode"] == "WaitForFirstConsumer"
}

pub(super) async fn default_class(cluster: &Cluster) -> Result<Option<Object>, Failure> {
    let choose = |classes: &[Object]| Ok(default_of(classes).cloned());
    cluster.classes(Kind::StorageClass, choose).await
}

/// The class of claims that name none. Of several that are marked the API
/// server takes the newest.
pub(super) fn default_of(classes: &[Object]) -> Option<&Object> {
    let marked = classes.iter().filter(|class| is_marked(class, DEFAULT));
    marked.max_by_key(|class| class.creation_timestamp())
}

/// Whether a class is marked as the default, by the annotation of its kind.
pub(super) fn is_marked(class: &Object, annotation: &str) -> bool {
    let marked = class.annotations().get(annotation);
    marked.is_some_and(|value| value == "true")
}
