//! Removing objects of a run, and nothing else.
//!
//! The race this guards against: an object is looked at, removed by somebody
//! else and made anew under the same name, and then deleted by us. So every
//! deletion carries the identity (UID) of what was looked at, and the API
//! server refuses if that is not what stands there.

use std::time::Duration;

use kube::{
    ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;

use super::{Cluster, Kind, Object, failure, run_of, until_after};
use crate::domain::{
    failure::{Failure, FailureKind},
    ids::RunId,
};

/// How long a pod of a copy gets to end by itself, in seconds.
const POD_GRACE: u32 = 1;

/// How often a removal is tried that meets a conflict.
const CONFLICTS: u32 = 5;

/// How long to wait after one.
const CONFLICT_PAUSE: Duration = Duration::from_millis(50);

/// How long a snapshot gets to go before its controller is asked to look again.
const OVERLOOKED: Duration = Duration::from_secs(10);

/// How long its controller gets to take a snapshot under its protection.
const UNPROTECTED: Duration = Duration::from_secs(10);

/// The finalizer by which it does (external-snapshotter, `utils`).
const PROTECTION: &str = "snapshot.storage.kubernetes.io/volumesnapshot-bound-protection";

/// The annotation by which it is asked; it means nothing.
const NUDGE: &str = "lifeboat.dev/still-there";

impl Cluster {
    /// Asks for the removal of an object that was seen, if it is still there.
    ///
    /// # Errors
    /// `Conflict` if what stands there is not the run's.
    pub async fn remove(&self, run: RunId, kind: Kind, seen: Object) -> Result<(), Failure> {
        self.delete(run, kind, seen, grace(kind)).await.map(drop)
    }

    /// Asks a pod that was seen to end, and lets it have its time for that.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub async fn end_pod(
        &self,
        run: RunId,
        seen: Object,
        grace_seconds: u32,
    ) -> Result<(), Failure> {
        let asked = self.delete(run, Kind::Pod, seen, Some(grace_seconds));
        asked.await.map(drop)
    }

    /// Asks for the removal of an object as it was seen. Gives it as it goes, or
    /// `None` where it is gone already.
    async fn delete(
        &self,
        run: RunId,
        kind: Kind,
        mut seen: Object,
        grace_period_seconds: Option<u32>,
    ) -> Result<Option<Object>, Failure> {
        let (namespace, name) = (seen.namespace(), seen.name_any());
        let namespace = namespace.as_deref();
        let what = kind.named(namespace, &name);
        let api = self.api(kind, namespace).await?;
        for _ in 0..CONFLICTS {
            if run_of(&seen) != Some(run) {
                let message =
                    format!("{what} does not wear the label of run {run}: it is left alone");
                return Err(Failure::new(FailureKind::Conflict, message));
            }
            let params = DeleteParams {
                grace_period_seconds,
                preconditions: Some(Preconditions {
                    uid: seen.uid(),
                    resource_version: None,
                }),
                ..DeleteParams::background()
            };
            match api.delete(&name, &params).await {
                // An answer that does not say that it goes may tell of its end.
                Ok(answer) => return Ok(Some(answer.left().filter(is_going).unwrap_or(seen))),
                Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(None),
                // Something else stands there since, or the object is being
                // written to just now, or is going already: another look tells.
                Err(kube::Error::Api(status)) if status.is_conflict() => {
                    if is_going(&seen) {
                        return Ok(Some(seen));
                    }
                }
                Err(error) => return Err(failure(&format!("remove {what}"), &error)),
            }
            tokio::time::sleep(CONFLICT_PAUSE).await;
            match self.get(kind, namespace, &name).await? {
                Some(object) => seen = object,
                None => return Ok(None),
            }
        }
        let message = format!("cannot remove {what}: it is written to all the time");
        Err(Failure::new(FailureKind::Unavailable, message))
    }

    /// Removes an object that was seen and waits until it is gone.
    ///
    /// # Errors
    /// As [`remove`](Self::remove), and `Timeout` with what holds it back.
    pub async fn remove_and_wait(
        &self,
        run: RunId,
        kind: Kind,
        seen: Object,
        patience: Duration,
    ) -> Result<(), Failure> {
        let of_controller = kind == Kind::VolumeSnapshot;
        if of_controller && !is_going(&seen) {
            self.protected(kind, &seen).await;
        }
        let Some(going) = self.delete(run, kind, seen, grace(kind)).await? else {
            return Ok(());
        };
        if of_controller {
            return self.nudge_until_gone(kind, &going, patience).await;
        }
        self.gone_after(kind, &going, patience).await?;
        if kind == Kind::Namespace {
            self.has_left(&going.name_any());
        }
        Ok(())
    }

    /// The snapshot controller binds a content to a snapshot first, and then
    /// protects the snapshot. If that goes in between, nobody ever tells the
    /// content, and it stays. So a young snapshot gets its time; one that
    /// cannot be bound is removed all the same.
    async fn protected(&self, kind: Kind, seen: &Object) {
        let waiting = until_after(self, (kind, seen), UNPROTECTED, |object| {
            let held = object.is_none_or(|o| o.finalizers().iter().any(|held| held == PROTECTION));
            Ok(held.then_some(()))
        });
        let _ = waiting.await;
    }

    /// The snapshot controller looks at a deletion once. If a claim made of the
    /// snapshot is still in its cache then, though it is gone, the controller
    /// leaves the snapshot be, and looks again when everything is listed anew: a
    /// quarter of an hour later. A change of the object makes it look at once.
    /// So does the driver's sidecar with a content whose removal was asked for
    /// while it was being cut: the write by which it ends cutting is its own, and
    /// not looked at again.
    async fn nudge_until_gone(
        &self,
        kind: Kind,
        going: &Object,
        patience: Duration,
    ) -> Result<(), Failure> {
        let mut left = patience;
        while left > OVERLOOKED {
            match self.gone_within(kind, going, OVERLOOKED, patience).await {
                Err(failure) if failure.kind == FailureKind::Timeout => left -= OVERLOOKED,
                ended => return ended,
            }
            self.nudge(kind, going, left).await?;
            if let Some(content) = self.overlooked_content(going).await {
                self.nudge(Kind::VolumeSnapshotContent, &content, left)
                    .await?;
            }
        }
        self.gone_within(kind, going, left, patience).await
    }

    /// Changes an object so that whoever is responsible for it looks at it. Its
    /// UID is a precondition here, too. Whether it helps is seen by its going;
    /// where it is not allowed, a later sweep finds it gone or tries again.
    async fn nudge(&self, kind: Kind, object: &Object, left: Duration) -> Result<(), Failure> {
        let change = json!({ "metadata": {
            "uid": object.uid(),
            "annotations": { NUDGE: format!("{} s left", left.as_secs()) },
        }});
        let api = self.api(kind, object.namespace().as_deref()).await?;
        let change = Patch::Merge(&change);
        let _ = api
            .patch(&object.name_any(), &PatchParams::default(), &change)
            .await;
        Ok(())
    }

    /// The content that was made for a snapshot, and goes with it.
    async fn overlooked_content(&self, snapshot: &Object) -> Option<Object> {
        let kind = Kind::VolumeSnapshot;
        let (namespace, name) = (snapshot.namespace(), snapshot.name_any());
        let now = self.get(kind, namespace.as_deref(), &name).await.ok()??;
        let content = self.content_of(&now).await?;
        let of = content.data.pointer("/spec/volumeSnapshotRef/uid")?;
        let is_its = is_going(&content) && of.as_str() == snapshot.uid().as_deref();
        is_its.then_some(content)
    }

    /// Waits until an object that was seen is gone.
    ///
    /// # Errors
    /// `Timeout` with the finalizers that hold it back.
    pub async fn gone_after(
        &self,
        kind: Kind,
        going: &Object,
        patience: Duration,
    ) -> Result<(), Failure> {
        self.gone_within(kind, going, patience, patience).await
    }

    /// The same, as the last part of `whole`.
    async fn gone_within(
        &self,
        kind: Kind,
        going: &Object,
        patience: Duration,
        whole: Duration,
    ) -> Result<(), Failure> {
        let mut held_by = Vec::new();
        let gone = until_after(self, (kind, going), patience, |object| {
            Ok(is_gone(object, going.uid().as_deref(), &mut held_by))
        });
        gone.await.map_err(|mut failure| {
            if failure.kind == FailureKind::Timeout {
                let what = kind.named(going.namespace().as_deref(), &going.name_any());
                failure.message = still_there(&what, whole, &held_by);
            }
            failure
        })
    }
}

/// What a copy leaves undone is of no interest.
fn grace(kind: Kind) -> Option<u32> {
    (kind == Kind::Pod).then_some(POD_GRACE)
}

/// Whether its removal was asked for.
#[must_use]
pub fn is_going(object: &Object) -> bool {
    object.metadata.deletion_timestamp.is_some()
}

/// Whether the object, or the one of that UID, is gone; notes what holds it.
fn is_gone(object: Option<&Object>, uid: Option<&str>, held_by: &mut Vec<String>) -> Option<()> {
    let there = object.filter(|object| uid.is_none() || object.uid().as_deref() == uid);
    *held_by = there
        .map(|object| object.finalizers().to_vec())
        .unwrap_or_default();
    there.is_none().then_some(())
}

fn still_there(what: &str, patience: Duration, held_by: &[String]) -> String {
    let seconds = patience.as_secs_f64();
    if held_by.is_empty() {
        return format!("{what} is still there after {seconds} s");
    }
    let finalizers = held_by.join(", ");
    format!("{what} is still there after {seconds} s, held by {finalizers}")
}
