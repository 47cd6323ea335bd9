//! Taking a scratch namespace away, in the order in which its parts hold each
//! other: a pod its claims, a claim its volume, a volume its snapshot.
//!
//! Deleting the namespace outright would do all at once, and leave what is
//! stuck to be found out; and content of a snapshot, which lies outside of any
//! namespace, would stay.

use std::time::Duration;

use futures_util::future::try_join_all;
use kube::ResourceExt;

use super::rights;
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        ids::RunId,
    },
    k8s::{Cluster, Kind, Maker, Object, RUN},
};

/// How long one kind of thing may take to go.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long a snapshot may. A provisioner that could not make a volume of it
/// holds it until it looks for what it has forgotten, every five minutes
/// (external-provisioner 6, `snapshot_finalizer_controller.go`).
const OF_SNAPSHOT: Duration = Duration::from_mins(7);

/// Ends all pods of the run.
///
/// The process may have died before it had its rights in the namespace. They
/// are asked for only where they are missed.
pub(super) async fn pods(maker: &Maker, namespace: &str, role: &str) -> Result<(), Failure> {
    let (cluster, run) = (&maker.cluster, maker.run);
    match all(cluster, run, Kind::Pod, Some(namespace)).await {
        Err(failure) if failure.kind == FailureKind::Denied => {}
        ended => return ended,
    }
    let object = cluster.get(Kind::Namespace, None, namespace).await?;
    if object.is_none_or(|object| is_going(&object)) {
        return Ok(());
    }
    rights::ensure(maker, namespace, role).await?;
    all(cluster, run, Kind::Pod, Some(namespace)).await
}

/// Removes everything in the namespace, what of it lies outside, and itself.
pub(super) async fn namespace(
    maker: &Maker,
    name: &str,
    uid: Option<&str>,
    role: &str,
) -> Result<(), Failure> {
    let (cluster, run) = (&maker.cluster, maker.run);
    let home = cluster.get(Kind::Namespace, None, name).await?;
    if let Some(object) = &home {
        if uid.is_some() && object.uid().as_deref() != uid {
            let message = format!("namespace {name} is not the one that run {run} made");
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        // In one that somebody is deleting already, our rights go with it.
        if !is_going(object) {
            pods(maker, name, role).await?;
            all(cluster, run, Kind::PersistentVolumeClaim, Some(name)).await?;
            volumes(cluster, name).await?;
            all(cluster, run, Kind::VolumeSnapshot, Some(name)).await?;
        }
    }
    all(cluster, run, Kind::VolumeSnapshotContent, None).await?;
    let home = home.into_iter().collect();
    each(cluster, run, Kind::Namespace, home).await
}

fn is_going(object: &Object) -> bool {
    object.metadata.deletion_timestamp.is_some()
}

/// Waits until no volume of the namespace is left.
async fn volumes(cluster: &Cluster, namespace: &str) -> Result<(), Failure> {
    let kind = Kind::PersistentVolume;
    let all = cluster.list(kind, None, "").await?;
    let ours = all.iter().filter(|volume| {
        let of = volume.data.pointer("/spec/claimRef/namespace");
        of.is_some_and(|of| of == namespace)
    });
    let gone = ours.map(|volume| cluster.gone_after(kind, volume, PATIENCE));
    try_join_all(gone).await.map(drop)
}

/// Removes the snapshots that the run has made of the workload's volumes.
pub(super) async fn snapshots(
    cluster: &Cluster,
    run: RunId,
    namespace: &str,
) -> Result<(), Failure> {
    // A group's members go with it.
    all(cluster, run, Kind::VolumeGroupSnapshot, Some(namespace)).await?;
    all(cluster, run, Kind::VolumeSnapshot, Some(namespace)).await
}

/// Removes all objects of a kind that wear the run's label, and waits.
async fn all(
    cluster: &Cluster,
    run: RunId,
    kind: Kind,
    namespace: Option<&str>,
) -> Result<(), Failure> {
    let found = match cluster.list(kind, namespace, &of_run(run)).await {
        // A cluster that does not know the kind has none.
        Err(failure) if failure.kind == FailureKind::NotFound => return Ok(()),
        found => found?,
    };
    each(cluster, run, kind, found).await
}

async fn each(
    cluster: &Cluster,
    run: RunId,
    kind: Kind,
    found: Vec<Object>,
) -> Result<(), Failure> {
    let patience = if kind == Kind::VolumeSnapshot {
        OF_SNAPSHOT
    } else {
        PATIENCE
    };
    let removals = found
        .into_iter()
        .map(|object| cluster.remove_seen(run, kind, object, patience));
    try_join_all(removals).await.map(drop)
}

fn of_run(run: RunId) -> String {
    format!("{RUN}={run}")
}
