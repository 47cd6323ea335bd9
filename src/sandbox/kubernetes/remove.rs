//! Taking a scratch namespace away, in the order in which its parts hold each
//! other: a pod its claims, a claim its volume, a volume its snapshot.
//!
//! Deleting the namespace outright does all at once, and leaves what is stuck to
//! be found out. So it is done only where nothing can get stuck: where all
//! claims are bound. Content of a snapshot lies outside of any namespace, and is
//! removed in any case.
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
    k8s::{self, Cluster, Kind, Maker, Object, is_going, run_of},
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

/// A scratch namespace that is to go.
#[derive(Clone, Copy)]
pub(super) struct Home<'a> {
    pub name: &'a str,
    pub uid: Option<&'a str>,
    /// The ClusterRole with the rights in it.
    pub role: &'a str,
    /// Its pods have been seen to go: it takes along what comes after.
    pub is_still: bool,
}

/// Removes everything in the namespace, what of it lies outside, and itself.
pub(super) async fn namespace(maker: &Maker, which: Home<'_>) -> Result<(), Failure> {
    let (cluster, run, name) = (&maker.cluster, maker.run, which.name);
    let home = home(cluster, run, name).await?;
    if let Some(object) = &home
        && which.uid.is_some()
        && object.uid().as_deref() != which.uid
    {
        let message = format!("namespace {name} is not the one that run {run} made");
        return Err(Failure::new(FailureKind::Conflict, message));
    }
    // In one that somebody is deleting already, our rights go with it.
    let within = match home.as_ref().filter(|home| !is_going(home)) {
        Some(_) => content(maker, which).await,
        None => Ok(()),
    };
    // What holds something in a namespace holds the namespace.
    let home = home.into_iter().filter(|_| within.is_ok()).collect();
    let home = each(cluster, run, Kind::Namespace, home).await;
    let outside = all(cluster, run, Kind::VolumeSnapshotContent, None).await;
    // A volume outlives its claim, and may outlive the namespace.
    let data = match within {
        Ok(()) => volumes(cluster, name).await,
        Err(_) => Ok(()),
    };
    together([within, data, outside, home])
}

/// The namespace as it stands. Most wear the label, and are looked at together;
/// of one that does not, somebody has taken it off.
async fn home(cluster: &Cluster, run: RunId, name: &str) -> Result<Option<Object>, Failure> {
    let kind = Kind::Namespace;
    let mut ours = cluster.of_run(kind, None, run).await?.into_iter();
    match ours.find(|object| object.name_any() == name) {
        None => cluster.get(kind, None, name).await,
        ours => Ok(ours),
    }
}

/// Removes what the run has made in the namespace.
async fn content(maker: &Maker, home: Home<'_>) -> Result<(), Failure> {
    let (cluster, run, name) = (&maker.cluster, maker.run, home.name);
    if !home.is_still {
        pods(maker, name, home.role).await?;
    }
    let kind = Kind::PersistentVolumeClaim;
    let found = cluster.of_run(kind, Some(name), run).await?;
    // Looked at after the claims: what was bound is among them.
    let claims = match nobody_elses(cluster, name).await {
        Ok(()) if can_go_at_once(&found) => return Ok(()),
        Ok(()) => each(cluster, run, kind, found).await,
        Err(shared) => Err(shared),
    };
    // A snapshot is held by a volume that is being made of it, and by no other.
    let snapshots = all(cluster, run, Kind::VolumeSnapshot, Some(name)).await;
    together([claims, snapshots])
}

/// Whether the namespace may take all that is in it along. A snapshot must not
/// go while a volume is being made of it, nor before its controller protects it;
/// and a run makes no claim before all its snapshots can be used.
fn can_go_at_once(claims: &[Object]) -> bool {
    !claims.is_empty() && claims.iter().all(k8s::is_bound)
}

/// A claim that goes takes its volume along, and the data with it. That must not
/// be somebody else's, whatever the driver has done.
async fn nobody_elses(cluster: &Cluster, namespace: &str) -> Result<(), Failure> {
    let all = cluster.look(Kind::PersistentVolume, "").await?;
    let shared = k8s::shared(all.iter(), namespace);
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
    let all = cluster.look(Kind::PersistentVolume, "").await?;
    let ours = all.iter();
    let ours = ours.filter(|volume| k8s::claimed_in(volume, namespace));
    let gone = ours.map(|volume| volume_gone(cluster, volume));
    together(join_all(gone).await)
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
    let kind = Kind::VolumeSnapshot;
    let ours = list(cluster, kind, Some(namespace), run).await?;
    let group = run.resource_name();
    let is_member = |one: &Object| k8s::is_member(one, &group);
    // A run cuts its volumes one by one or as a group.
    if !ours.is_empty() && !ours.iter().any(is_member) {
        return each(cluster, run, kind, ours).await;
    }
    // A group's members go with it.
    let groups = all(cluster, run, Kind::VolumeGroupSnapshot, Some(namespace)).await;
    let there = known(cluster.list(kind, Some(namespace), "").await)?;
    let members = there.iter().filter(|one| is_member(one));
    let members = match &groups {
        // They wear no label, and go with their group; but not before it.
        Ok(()) => {
            let gone = members.map(|one| cluster.gone_after(kind, one, OF_SNAPSHOT));
            together(join_all(gone).await)
        }
        Err(_) => Ok(()),
    };
    let ours = there.into_iter().filter(|one| run_of(one) == Some(run));
    let snapshots = each(cluster, run, kind, ours.collect()).await;
    together([groups, members, snapshots])
}

/// Removes all objects of a kind that wear the run's label, and waits.
async fn all(
    cluster: &Cluster,
    run: RunId,
    kind: Kind,
    namespace: Option<&str>,
) -> Result<(), Failure> {
    let found = list(cluster, kind, namespace, run).await?;
    each(cluster, run, kind, found).await
}

/// All objects of a kind that wear the run's label.
async fn list(
    cluster: &Cluster,
    kind: Kind,
    namespace: Option<&str>,
    run: RunId,
) -> Result<Vec<Object>, Failure> {
    known(cluster.of_run(kind, namespace, run).await)
}

/// A cluster that does not know a kind has none of it.
fn known(found: Result<Vec<Object>, Failure>) -> Result<Vec<Object>, Failure> {
    match found {
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
    let patience = match kind {
        // It may be held by a snapshot that is in it.
        Kind::VolumeSnapshot | Kind::Namespace => OF_SNAPSHOT,
        _ => PATIENCE,
    };
    let removals = found
        .into_iter()
        .map(|object| cluster.remove_and_wait(run, kind, object, patience));
    together(join_all(removals).await)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(phases: &[&str]) -> Vec<Object> {
        let claim = |phase: &&str| {
            let body = json!({ "metadata": { "name": "c" }, "status": { "phase": phase } });
            serde_json::from_value(body).unwrap()
        };
        phases.iter().map(claim).collect()
    }

    #[test]
    fn only_claims_that_are_all_bound_let_the_namespace_go_at_once() {
        assert!(can_go_at_once(&claims(&["Bound", "Bound"])));
        assert!(!can_go_at_once(&claims(&["Bound", "Pending"])));
        // A snapshot may be young.
        assert!(!can_go_at_once(&[]));
    }
}
