//! Taking a scratch namespace away, in the order in which its parts hold each
//! other: a pod its claims, a claim its volume, a volume its snapshot.
//!
//! Deleting the namespace outright would do all at once, and leave what is
//! stuck to be found out; and content of a snapshot, which lies outside of any
//! namespace, would stay.
//!
//! What stays keeps nothing that does not depend on it: all of it is told at
//! the end.

use std::time::Duration;

use futures_util::future::join_all;
use kube::ResourceExt;

use super::rights;
use crate::{
    domain::{
        failure::{Failure, FailureKind, together},
        ids::RunId,
    },
    k8s::{self, Cluster, Kind, Maker, Object, RUN, is_going, run_of},
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
    if let Some(object) = &home
        && uid.is_some()
        && object.uid().as_deref() != uid
    {
        let message = format!("namespace {name} is not the one that run {run} made");
        return Err(Failure::new(FailureKind::Conflict, message));
    }
    // In one that somebody is deleting already, our rights go with it.
    let within = match home.as_ref().filter(|home| !is_going(home)) {
        Some(_) => content(maker, name, role).await,
        None => Ok(()),
    };
    let outside = all(cluster, run, Kind::VolumeSnapshotContent, None).await;
    if within.is_err() {
        // What holds something in a namespace holds the namespace.
        return together([within, outside]);
    }
    // A volume outlives its claim, and may outlive the namespace.
    let data = volumes(cluster, name).await;
    let home = home.into_iter().collect();
    let home = each(cluster, run, Kind::Namespace, home).await;
    together([data, outside, home])
}

/// Removes what the run has made in the namespace.
async fn content(maker: &Maker, name: &str, role: &str) -> Result<(), Failure> {
    let (cluster, run) = (&maker.cluster, maker.run);
    pods(maker, name, role).await?;
    let claims = match nobody_elses(cluster, name).await {
        Ok(()) => all(cluster, run, Kind::PersistentVolumeClaim, Some(name)).await,
        shared => shared,
    };
    // A snapshot is held by a volume that is being made of it, and by no other.
    let snapshots = all(cluster, run, Kind::VolumeSnapshot, Some(name)).await;
    together([claims, snapshots])
}

/// A claim that goes takes its volume along, and the data with it. That must not
/// be somebody else's, whatever the driver has done.
async fn nobody_elses(cluster: &Cluster, namespace: &str) -> Result<(), Failure> {
    let all = cluster.list(Kind::PersistentVolume, None, "").await?;
    let shared = k8s::shared(&all, namespace);
    let goes = all.iter().filter(|volume| goes_with_claim(volume));
    let mut dangerous = goes.filter_map(|volume| {
        let other = shared.get(&volume.name_any())?;
        Some((volume, other))
    });
    let Some((volume, other)) = dangerous.next() else {
        return Ok(());
    };
    let name = volume.name_any();
    let message = format!(
        "volume {name} of the sandbox is the same as {other}: its claim is left, for removing it \
         would delete the data of both"
    );
    Err(Failure::new(FailureKind::Conflict, message).hint(format!(
        "set persistentVolumeReclaimPolicy of {name} to Retain, sweep, and delete {name}"
    )))
}

fn goes_with_claim(volume: &Object) -> bool {
    volume.data["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
}

/// Waits until no volume of the namespace is left.
async fn volumes(cluster: &Cluster, namespace: &str) -> Result<(), Failure> {
    let all = cluster.list(Kind::PersistentVolume, None, "").await?;
    let ours = all.iter();
    let ours = ours.filter(|volume| k8s::claimed_in(volume, namespace));
    together(join_all(ours.map(|volume| volume_gone(cluster, volume))).await)
}

async fn volume_gone(cluster: &Cluster, volume: &Object) -> Result<(), Failure> {
    let kind = Kind::PersistentVolume;
    if goes_with_claim(volume) {
        return cluster.gone_after(kind, volume, PATIENCE).await;
    }
    // Nobody takes it away, however long it is waited for.
    let what = kind.named(None, &volume.name_any());
    let message = format!("{what} stays with its data: its reclaim policy is not Delete");
    Err(Failure::new(FailureKind::Conflict, message)
        .hint("delete the volume and what the storage keeps of it"))
}

/// Removes the snapshots that the run has made of the workload's volumes.
pub(super) async fn snapshots(
    cluster: &Cluster,
    run: RunId,
    namespace: &str,
) -> Result<(), Failure> {
    // A group's members go with it.
    let groups = all(cluster, run, Kind::VolumeGroupSnapshot, Some(namespace)).await;
    let there = list(cluster, Kind::VolumeSnapshot, Some(namespace), "").await?;
    let group = run.resource_name();
    let members = there.iter().filter(|one| k8s::is_member(one, &group));
    let members = match &groups {
        // They wear no label, and go with their group; but not before it.
        Ok(()) => {
            let kind = Kind::VolumeSnapshot;
            let gone = members.map(|one| cluster.gone_after(kind, one, OF_SNAPSHOT));
            together(join_all(gone).await)
        }
        Err(_) => Ok(()),
    };
    let ours = there.into_iter().filter(|one| run_of(one) == Some(run));
    let snapshots = each(cluster, run, Kind::VolumeSnapshot, ours.collect()).await;
    together([groups, members, snapshots])
}

/// Removes all objects of a kind that wear the run's label, and waits.
async fn all(
    cluster: &Cluster,
    run: RunId,
    kind: Kind,
    namespace: Option<&str>,
) -> Result<(), Failure> {
    let selector = format!("{RUN}={run}");
    let found = list(cluster, kind, namespace, &selector).await?;
    each(cluster, run, kind, found).await
}

async fn list(
    cluster: &Cluster,
    kind: Kind,
    namespace: Option<&str>,
    selector: &str,
) -> Result<Vec<Object>, Failure> {
    match cluster.list(kind, namespace, selector).await {
        // A cluster that does not know the kind has none.
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(Vec::new()),
        found => found,
    }
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
    together(join_all(removals).await)
}
