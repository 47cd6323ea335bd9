//! Taking a scratch namespace away, in the order in which its parts hold each
//! other: a pod its claims, a claim its volume, a volume its snapshot.
//!
//! Deleting the namespace outright would do all at once, and leave what is
//! stuck to be found out; and content of a snapshot, which lies outside of any
//! namespace, would stay.

use std::time::Duration;

use futures_util::future::try_join_all;
use kube::ResourceExt;

use crate::{
    domain::{
        failure::{Failure, FailureKind},
        ids::RunId,
    },
    k8s::{Cluster, Kind, Object, RUN},
};

/// How long one kind of thing may take to go.
const PATIENCE: Duration = Duration::from_mins(2);

/// Ends all pods of the run.
pub(super) async fn pods(cluster: &Cluster, run: RunId, namespace: &str) -> Result<(), Failure> {
    all(cluster, run, Kind::Pod, Some(namespace)).await
}

/// Removes everything in the namespace, what of it lies outside, and itself.
pub(super) async fn namespace(
    cluster: &Cluster,
    run: RunId,
    name: &str,
    uid: Option<&str>,
) -> Result<(), Failure> {
    let home = cluster.get(Kind::Namespace, None, name).await?;
    if let Some(object) = &home {
        if uid.is_some() && object.uid().as_deref() != uid {
            let message = format!("namespace {name} is not the one that run {run} made");
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        let within = Some(name);
        pods(cluster, run, name).await?;
        claims(cluster, run, name).await?;
        all(cluster, run, Kind::VolumeSnapshot, within).await?;
    }
    all(cluster, run, Kind::VolumeSnapshotContent, None).await?;
    let home = home.into_iter().collect();
    each(cluster, run, Kind::Namespace, home).await
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

/// Removes claims, and waits until their volumes are gone, too.
async fn claims(cluster: &Cluster, run: RunId, namespace: &str) -> Result<(), Failure> {
    let kind = Kind::PersistentVolumeClaim;
    let claims = cluster.list(kind, Some(namespace), &of_run(run)).await?;
    let volumes = claims.iter().filter_map(|claim| {
        let volume = claim.data.pointer("/spec/volumeName")?.as_str()?;
        Some(volume.to_owned())
    });
    let volumes: Vec<String> = volumes.collect();
    each(cluster, run, kind, claims).await?;
    let gone = volumes
        .iter()
        .map(|volume| cluster.gone(Kind::PersistentVolume, None, volume, None, PATIENCE));
    try_join_all(gone).await.map(drop)
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
    let removals = found
        .into_iter()
        .map(|object| cluster.remove_seen(run, kind, object, PATIENCE));
    try_join_all(removals).await.map(drop)
}

fn of_run(run: RunId) -> String {
    format!("{RUN}={run}")
}
