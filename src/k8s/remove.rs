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

use super::{Cluster, Kind, failure, run_of, until};
use crate::domain::{
    failure::{Failure, FailureKind},
    ids::RunId,
};

/// How long a pod of a copy gets to end by itself, in seconds.
const POD_GRACE: u32 = 1;

/// How long a snapshot gets to go before its controller is asked to look again.
const OVERLOOKED: Duration = Duration::from_secs(10);

/// The annotation by which it is asked; it means nothing.
const NUDGE: &str = "lifeboat.dev/still-there";

impl Cluster {
    /// Asks for the removal of an object that wears the label of `run`. Gives
    /// its UID, or `None` where it is gone already.
    ///
    /// # Errors
    /// `Conflict` if what stands there is not the run's.
    pub async fn remove(
        &self,
        run: RunId,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<String>, Failure> {
        // What a copy leaves undone is of no interest.
        let grace = (kind == Kind::Pod).then_some(POD_GRACE);
        self.delete(run, (kind, namespace, name), grace).await
    }

    /// Asks a pod to end, and lets it have its time for that.
    ///
    /// # Errors
    /// As [`remove`](Self::remove).
    pub async fn end_pod(
        &self,
        run: RunId,
        namespace: &str,
        name: &str,
        grace_seconds: u32,
    ) -> Result<(), Failure> {
        let which = (Kind::Pod, Some(namespace), name);
        self.delete(run, which, Some(grace_seconds)).await.map(drop)
    }

    async fn delete(
        &self,
        run: RunId,
        (kind, namespace, name): (Kind, Option<&str>, &str),
        grace_period_seconds: Option<u32>,
    ) -> Result<Option<String>, Failure> {
        let what = kind.named(namespace, name);
        let Some(object) = self.get(kind, namespace, name).await? else {
            return Ok(None);
        };
        if run_of(&object) != Some(run) {
            let message = format!("{what} does not wear the label of run {run}: it is left alone");
            return Err(Failure::new(FailureKind::Conflict, message));
        }
        let uid = object.uid();
        let params = DeleteParams {
            grace_period_seconds,
            preconditions: Some(Preconditions {
                uid: uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        let api = self.api(kind, namespace).await?;
        match api.delete(name, &params).await {
            Ok(_) => Ok(uid),
            // It is gone, or something else stands there since: not ours.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
                Ok(None)
            }
            Err(error) => Err(failure(&format!("remove {what}"), &error)),
        }
    }

    /// Removes it and waits until it is gone.
    ///
    /// # Errors
    /// As [`remove`](Self::remove), and `Timeout` with what holds it back.
    pub async fn remove_and_wait(
        &self,
        run: RunId,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        patience: Duration,
    ) -> Result<(), Failure> {
        let Some(uid) = self.remove(run, kind, namespace, name).await? else {
            return Ok(());
        };
        if kind == Kind::VolumeSnapshot {
            self.nudge_until_gone((kind, namespace, name), &uid, patience)
                .await
        } else {
            self.gone(kind, namespace, name, Some(&uid), patience).await
        }
    }

    /// The snapshot controller looks at a deletion once. If a claim made of the
    /// snapshot is still in its cache then, though it is gone, the controller
    /// leaves the snapshot be, and looks again when everything is listed anew: a
    /// quarter of an hour later. A change of the object makes it look at once.
    async fn nudge_until_gone(
        &self,
        (kind, namespace, name): (Kind, Option<&str>, &str),
        uid: &str,
        patience: Duration,
    ) -> Result<(), Failure> {
        let mut left = patience;
        while let Some(later) = left.checked_sub(OVERLOOKED) {
            match self
                .gone(kind, namespace, name, Some(uid), OVERLOOKED)
                .await
            {
                Err(failure) if failure.kind == FailureKind::Timeout => left = later,
                ended => return ended,
            }
            // The UID is a precondition here, too. Whether it helps is seen by
            // the snapshot's going; where it is not allowed, a later sweep
            // finds the snapshot gone or tries again.
            let change = json!({ "metadata": {
                "uid": uid,
                "annotations": { NUDGE: format!("{} s left", later.as_secs()) },
            }});
            let _ = self
                .api(kind, namespace)
                .await?
                .patch(name, &PatchParams::default(), &Patch::Merge(&change))
                .await;
        }
        self.gone(kind, namespace, name, Some(uid), left).await
    }

    /// Waits until the object, or the one of that UID, is gone.
    ///
    /// # Errors
    /// `Timeout` with the finalizers that hold it back.
    pub async fn gone(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
        uid: Option<&str>,
        patience: Duration,
    ) -> Result<(), Failure> {
        let mut held_by = Vec::new();
        let gone = until(self, (kind, namespace, name), patience, |object| {
            let there = object.filter(|object| uid.is_none() || object.uid().as_deref() == uid);
            held_by = there
                .map(|object| object.finalizers().to_vec())
                .unwrap_or_default();
            Ok(there.is_none().then_some(()))
        });
        gone.await.map_err(|failure| {
            if held_by.is_empty() {
                failure
            } else {
                failure.diagnosis([format!("finalizers: {}", held_by.join(", "))])
            }
        })
    }
}
