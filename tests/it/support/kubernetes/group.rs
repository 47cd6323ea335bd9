//! Groups of snapshots: cut together, and gone one after the other.

use std::sync::Arc;

use lifeboat::k8s::Kind;
use serde_json::{Value, json};

use super::{
    Inner, Key, api,
    store::{Filter, now},
};

/// Cuts all claims that the group chooses, each as a snapshot of its own.
pub async fn cut(inner: Arc<Inner>, key: Key) {
    let Some(group) = inner.state().store.get(&key) else {
        return;
    };
    inner.pause().await;
    let labels = group["spec"]["source"]["selector"]["matchLabels"].as_object();
    let labels = labels.into_iter().flatten();
    let value = |value: &Value| value.as_str().map(str::to_owned);
    let claims = inner.state().store.list(&Filter {
        kind: Kind::PersistentVolumeClaim,
        namespace: key.namespace.clone(),
        name: None,
        labels: labels.map(|(name, of)| (name.clone(), value(of))).collect(),
    });
    for claim in claims {
        let uid = claim["metadata"]["uid"].as_str().unwrap();
        let name = format!("snapshot-{}-{uid}", key.name);
        let member = Key::new(Kind::VolumeSnapshot, key.namespace.as_deref(), &name);
        let body = json!({
            "metadata": { "name": name, "namespace": key.namespace },
            "spec": { "source": { "persistentVolumeClaimName": claim["metadata"]["name"] } },
            "status": { "volumeGroupSnapshotName": key.name },
        });
        if inner.state().store.create(&member, body).is_ok() {
            api::made_one(&inner, &member);
        }
    }
    inner.state().store.change(&key, |group| {
        group["status"] = json!({ "creationTime": now(), "readyToUse": true });
    });
}

/// The group goes first, and its members after it.
pub async fn free(inner: Arc<Inner>, key: Key) {
    inner.pause().await;
    let is_member = |one: &Key, snapshot: &Value| {
        one.namespace == key.namespace
            && snapshot["status"]["volumeGroupSnapshotName"] == key.name.as_str()
    };
    let members = inner.state().store.keys(is_member);
    for member in &members {
        inner.state().store.mark(member, None);
    }
    inner.state().store.remove(&key);
    for member in members {
        inner.pause().await;
        api::going_one(&inner, &member);
    }
}
