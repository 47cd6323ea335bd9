//! A workload in the fake, and drills of it.

use std::path::{Path, PathBuf};

use lifeboat::k8s::Kind;
use serde_json::{Value, json};

use super::{Fake, storage};

/// What a drill restores from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// A snapshot of the volume as it stands.
    Snapshot,
    /// A snapshot, the engine held meanwhile.
    Held,
    Dump,
    /// A snapshot that is there already.
    Existing,
    /// Snapshots of two volumes, cut as a group. The workload has to have them.
    Group,
}

/// Puts what every cluster has there.
pub fn cluster(fake: &Fake) {
    let inner = &fake.inner;
    let class = json!({
        "metadata": { "annotations": {
            "snapshot.storage.kubernetes.io/is-default-class": "true" } },
        "driver": storage::DRIVER, "deletionPolicy": "Delete",
    });
    storage::given(inner, Kind::VolumeSnapshotClass, None, "fake", class);
    let class = json!({ "provisioner": storage::DRIVER, "volumeBindingMode": "Immediate" });
    storage::given(inner, Kind::StorageClass, None, "fast", class);
}

/// Puts a StatefulSet's database there, with all that it needs and a snapshot
/// of its volume.
pub async fn workload(fake: &Fake, namespace: &str) {
    let (inner, within) = (&fake.inner, Some(namespace));
    storage::given(inner, Kind::Namespace, None, namespace, json!({}));
    let password = json!({ "data": { "password": "czNjcmV0" } });
    storage::given(inner, Kind::Secret, within, "db-auth", password);
    let conf = json!({ "data": { "work_mem": "6MB" } });
    storage::given(inner, Kind::ConfigMap, within, "db-conf", conf);
    let service = json!({ "spec": {
        "selector": { "app": "db" }, "clusterIP": "10.0.0.1",
        "ports": [{ "port": 5432, "targetPort": 5432 }],
    }});
    storage::given(inner, Kind::Service, within, "db", service);
    storage::given(inner, Kind::StatefulSet, within, "db", stateful_set());
    let claim = json!({ "spec": claim_spec() });
    storage::given(
        inner,
        Kind::PersistentVolumeClaim,
        within,
        "data-db-0",
        claim,
    );
    let snapshot = json!({
        "metadata": { "labels": { "backup": "nightly" } },
        "spec": { "source": { "persistentVolumeClaimName": "data-db-0" } },
    });
    storage::given(inner, Kind::VolumeSnapshot, within, "nightly", snapshot);
    let key = super::Key::new(Kind::VolumeSnapshot, within, "nightly");
    inner
        .until(&key, |o| (o?["status"]["readyToUse"] == true).then_some(()))
        .await;
    let key = super::Key::new(Kind::PersistentVolumeClaim, within, "data-db-0");
    inner
        .until(&key, |o| (o?["status"]["phase"] == "Bound").then_some(()))
        .await;
}

/// Gives the workload a second volume, and the driver a class for groups.
pub fn second_volume(fake: &Fake, namespace: &str) {
    let key = |kind, name| super::Key::new(kind, Some(namespace), name);
    let set = key(Kind::StatefulSet, "db");
    let mut state = fake.inner.state();
    state.store.change(&set, |set| {
        let templates = &mut set["spec"]["volumeClaimTemplates"];
        let wal = json!({ "metadata": { "name": "wal" }, "spec": claim_spec() });
        templates.as_array_mut().unwrap().push(wal);
    });
    let metadata = json!({
        "name": "wal-db-0", "namespace": namespace, "labels": { "app": "db" },
        "annotations": { "volume.kubernetes.io/storage-provisioner": storage::DRIVER },
    });
    let data = key(Kind::PersistentVolumeClaim, "data-db-0");
    state.store.change(&data, |data| {
        for of in ["labels", "annotations"] {
            data["metadata"][of] = metadata[of].clone();
        }
    });
    let wal = json!({
        "metadata": metadata, "spec": claim_spec(), "status": { "phase": "Bound" },
    });
    let key = key(Kind::PersistentVolumeClaim, "wal-db-0");
    state.store.create(&key, wal).unwrap();
    let class = json!({
        "metadata": { "name": "group", "annotations": {
            "groupsnapshot.storage.kubernetes.io/is-default-class": "true" } },
        "driver": storage::DRIVER, "deletionPolicy": "Delete",
    });
    let key = super::Key::new(Kind::VolumeGroupSnapshotClass, None, "group");
    state.store.create(&key, class).unwrap();
}

fn claim_spec() -> Value {
    json!({
        "accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
        "resources": { "requests": { "storage": "1Gi" } },
    })
}

fn stateful_set() -> Value {
    json!({ "spec": {
        "replicas": 1, "serviceName": "db", "selector": { "matchLabels": { "app": "db" } },
        "template": {
            "metadata": { "labels": { "app": "db" } },
            "spec": {
                "securityContext": { "runAsUser": 999, "runAsGroup": 999, "fsGroup": 999 },
                "containers": [{
                    "name": "postgres", "image": "postgres:15", "args": ["postgres"],
                    "env": [
                        { "name": "POSTGRES_PASSWORD", "valueFrom": {
                            "secretKeyRef": { "name": "db-auth", "key": "password" } } },
                        { "name": "WORK_MEM", "valueFrom": {
                            "configMapKeyRef": { "name": "db-conf", "key": "work_mem" } } },
                        { "name": "PGDATA", "value": "/data/pg" },
                    ],
                    "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
                }],
            },
        },
        "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": claim_spec() }],
    }})
}

/// Writes a drill of that workload.
pub fn drill(fake: &Fake, directory: &Path, namespace: &str, from: From) -> PathBuf {
    let kubeconfig = fake.kubeconfig(directory).display().to_string();
    let connection = json!({
        "host": format!("db.{namespace}.svc"), "database": "shop", "user": "lifeboat",
        "password": { "secret": { "name": "db-auth", "key": "password" } },
    });
    let mut spec = json!({
        "workload": { "postgresql": {
            "kubernetes": { "namespace": namespace, "statefulSet": "db", "database": "shop" } } },
        "sandbox": { "kubernetes": { "kubeconfig": kubeconfig } },
    });
    match from {
        From::Snapshot => spec["recoveryPoint"] = json!({ "snapshot": { "holdLimit": "2s" } }),
        From::Held => {
            let wanted = json!({ "snapshot": { "consistency": "application", "holdLimit": "5s" } });
            spec["recoveryPoint"] = wanted;
        }
        From::Dump => {}
        From::Group => {
            spec["recoveryPoint"] = json!({ "snapshot": {} });
            let workload = &mut spec["workload"]["postgresql"]["kubernetes"];
            workload["dataVolume"] = "data".into();
            workload["walVolume"] = "wal".into();
        }
        From::Existing => {
            let wanted = json!({ "existingSnapshot": { "labels": { "backup": "nightly" } } });
            spec["recoveryPoint"] = wanted;
        }
    }
    if matches!(from, From::Held | From::Dump) {
        spec["workload"]["postgresql"]["connection"] = connection;
        spec["canary"] = json!({ "table": "lifeboat.canary" });
    }
    let document = json!({
        "apiVersion": "lifeboat.dev/v1alpha1", "kind": "Drill",
        "metadata": { "name": namespace }, "spec": spec,
    });
    let path = directory.join(format!("{namespace}.yaml"));
    std::fs::write(&path, document.to_string()).unwrap();
    path
}

/// Puts the source's own pod there, which nothing of a drill needs.
pub fn pod(fake: &Fake, namespace: &str, status: Value) {
    let body = json!({ "spec": { "containers": [] }, "status": status });
    storage::given(&fake.inner, Kind::Pod, Some(namespace), "db-0", body);
}
