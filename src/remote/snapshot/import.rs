//! Bringing snapshots into the sandbox.
//!
//! A snapshot belongs to its namespace. What goes into the sandbox is a second
//! content for the same handle, and a second snapshot for that. The content
//! always says `Retain`: it may go, and the snapshot itself stays.

use std::{collections::BTreeMap, time::Duration};

use kube::ResourceExt;
use serde_json::json;

use super::{super::RemoteEngine, read::is_ready};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        recovery_point::{Artifact, RecoveryPoint, VolumeCut},
    },
    k8s::{self, Cluster, Kind, Maker, Object},
    workload::rewrite::Restored,
};

/// How long the driver may take to know the snapshot.
const PATIENCE: Duration = Duration::from_mins(5);

impl RemoteEngine {
    /// Makes every snapshot of the recovery point known in the sandbox; gives
    /// what its volumes are restored from.
    pub(in crate::remote) async fn import(
        &self,
        maker: &Maker,
        point: &RecoveryPoint,
        home: (&str, Option<&str>),
    ) -> Result<BTreeMap<String, Restored>, Failure> {
        let Artifact::Volumes { snapshots } = &point.artifact else {
            return Ok(BTreeMap::new());
        };
        let cluster = &self.cluster().await?;
        let mut restored = BTreeMap::new();
        let mut imported = Vec::new();
        for cut in snapshots {
            let name = format!("{}-{}", maker.run.resource_name(), cut.volume);
            let original = self.original(cluster, cut).await?;
            let body = content(cut, &original, home, &name);
            maker
                .make(Kind::VolumeSnapshotContent, None, &name, body)
                .await?;
            let body = json!({ "spec": {
                "source": { "volumeSnapshotContentName": name },
                "volumeSnapshotClassName": original.data["spec"]["volumeSnapshotClassName"],
            }});
            let made = maker.make(Kind::VolumeSnapshot, Some(home.0), &name, body);
            imported.push(made.await?);
            let source = Restored {
                snapshot: name,
                least_bytes: cut.least_bytes,
            };
            restored.insert(cut.volume.clone(), source);
        }
        for snapshot in &imported {
            ready(cluster, snapshot).await?;
        }
        Ok(restored)
    }

    /// The content that the snapshot is bound to. One that was found, and not
    /// cut by this run, may have been removed since: it is looked at again.
    async fn original(&self, cluster: &Cluster, cut: &VolumeCut) -> Result<Object, Failure> {
        if let Some(ours) = self.state.lock().await.contents.remove(&cut.content) {
            return Ok(ours);
        }
        let kind = Kind::VolumeSnapshotContent;
        let found = cluster.get(kind, None, &cut.content).await?;
        found.ok_or_else(|| {
            let message = format!("VolumeSnapshot {} vanished during the run", cut.snapshot);
            Failure::new(FailureKind::NotFound, message)
                .hint("its retention may be shorter than the drill is long")
        })
    }
}

fn content(
    cut: &VolumeCut,
    original: &Object,
    (namespace, uid): (&str, Option<&str>),
    name: &str,
) -> serde_json::Value {
    let spec = &original.data["spec"];
    // A driver that needs a secret to read a snapshot is told of it here.
    let annotations: BTreeMap<&String, &String> = original
        .annotations()
        .iter()
        .filter(|(name, _)| name.starts_with("snapshot.storage.kubernetes.io/"))
        .filter(|(name, _)| !name.contains("being-"))
        .collect();
    let mut body = json!({
        "metadata": {
            "annotations": annotations,
            // A second net: it goes with the namespace, too.
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "Namespace",
                "name": namespace, "uid": uid,
            }],
        },
        "spec": {
            "deletionPolicy": "Retain",
            "driver": cut.driver,
            "source": { "snapshotHandle": cut.handle },
            "volumeSnapshotRef": { "namespace": namespace, "name": name },
            "volumeSnapshotClassName": spec["volumeSnapshotClassName"],
        },
    });
    if let Some(mode) = spec["sourceVolumeMode"].as_str() {
        body["spec"]["sourceVolumeMode"] = mode.into();
    }
    body
}

async fn ready(cluster: &Cluster, imported: &Object) -> Result<(), Failure> {
    let which = (Kind::VolumeSnapshot, imported);
    let mut trouble = None;
    let waited = k8s::until_after(cluster, which, PATIENCE, |object| {
        trouble = object.and_then(|object| k8s::snapshot_error(&object.data));
        Ok(object.filter(|object| is_ready(object)).map(|_| ()))
    });
    waited.await.map_err(|failure| {
        let failure = failure.context("the snapshot cannot be used in the sandbox");
        failure.diagnosis(trouble)
    })
}
