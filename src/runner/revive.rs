//! Taking up a run whose copy went on by itself.
//!
//! Nothing is done twice, and nothing that the dead process had not done: the
//! copy was started, and from there on the run only hears what comes of it. So
//! whatever this process does not know of the steps before is not needed, and
//! the recovery clock is the copy's own.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{
    cancel::Cancel,
    execute::Passage,
    forward::{Forward, Products},
    store::{StoreError, Write},
};
use crate::{
    domain::{
        event::EventKind,
        failure::{Failure, FailureKind},
        record::RecoveryPointSummary,
        step::Step,
    },
    engine::{Context, Engine, EventSink, Instance},
    spec::drill::Drill,
};

/// For how long a cluster that does not answer is asked for the copy, and how
/// often. A service and its cluster may have begun anew together.
const PATIENCE: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_secs(2);

/// What it takes to hear a copy.
pub struct Revival<'a> {
    /// As it is written now; its copy was made by what was written then.
    pub drill: &'a Drill,
    pub engine: Arc<dyn Engine>,
    /// Ends the run early; everything is given back all the same.
    pub cancel: Cancel,
    /// Leaves the run to the process that comes next.
    pub park: CancellationToken,
}

impl<'a> Passage<'a> {
    /// Whether there is a copy that goes on and that another process takes up, or
    /// has taken up: what was written last may stand there, although this process
    /// was not told so.
    pub(super) fn is_anothers_too(&self) -> bool {
        let forward = self.forward.as_ref();
        let started = forward.is_some_and(|forward| forward.products.handle.is_some());
        let starts = self.state.open == Some(Step::Start) && started;
        starts || self.state.goes_on().is_some()
    }

    /// Takes the copy up, if there is one that goes on. Where it cannot be, a note
    /// says why, and there is no forward pass.
    pub(super) async fn revive(&mut self, revival: Revival<'a>) -> Result<(), StoreError> {
        let Some(handle) = self.state.goes_on().cloned() else {
            return Ok(());
        };
        self.park = revival.park.clone();
        self.cancel = revival.cancel.clone();
        let forward = self.hear_again(revival, handle).await;
        let forward = forward.map_err(|failure| self.cancel.explain(failure));
        if forward.is_err() && self.park.is_cancelled() {
            let run = self.claim.run;
            return Err(StoreError::Parked { run });
        }
        let message = match &forward {
            Err(failure) => format!("its copy could not be taken up: {}", failure.message),
            Ok(_) => format!(
                "its process was gone and another one took it up {:.1} s after it was \
                 requested; the copy went on by itself meanwhile, and its times are by its own clock",
                self.recorder.elapsed().as_secs_f64()
            ),
        };
        self.recorder.emit(EventKind::Note { message });
        self.forward = forward.ok();
        self.runner.hook.reached("taken up");
        let record = self.recorder.snapshot();
        self.write(&[Write::Record(&record)]).await
    }

    async fn hear_again(
        &self,
        revival: Revival<'a>,
        handle: Value,
    ) -> Result<Forward<'a>, Failure> {
        let (drill, engine) = (revival.drill, revival.engine);
        let record = self.recorder.snapshot();
        if record.negative_control || drill.in_cluster() != record.workload {
            let message = "it was a negative control, or the drill is of another workload now";
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let cx = Context {
            run: self.claim.run,
            clock: self.runner.clock.clone(),
            events: self.recorder.clone(),
            cancel: revival.cancel.token(),
        };
        let instance = self.resumed(&*engine, &cx, &handle).await?;
        let products = Products {
            source: record.source,
            point: record.recovery_point.map(RecoveryPointSummary::point),
            instance: Some(instance),
            handle: Some(handle),
            ..Products::default()
        };
        Ok(Forward {
            drill,
            engine,
            sandbox: self.runner.sandbox.clone(),
            recorder: self.recorder.clone(),
            faults: &[],
            cx,
            products,
            has_heirs: true,
        })
    }

    /// Tries again where nobody answers.
    async fn resumed(
        &self,
        engine: &dyn Engine,
        cx: &Context,
        handle: &Value,
    ) -> Result<Instance, Failure> {
        let done = self.state.done.last().copied().unwrap_or(Step::Start);
        let begun = self.runner.clock.monotonic();
        loop {
            let resumed = engine.resume(cx, handle, done).await;
            let waited = self.runner.clock.monotonic().saturating_sub(begun);
            match resumed {
                Err(failure) if may_pass(&failure) && waited < PATIENCE => {
                    tracing::warn!(%failure, "cannot take the copy up yet");
                }
                resumed => return resumed,
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = cx.cancel.cancelled() => {
                    let message = "stopped on request";
                    return Err(Failure::new(FailureKind::Cancelled, message));
                }
            }
        }
    }
}

fn may_pass(failure: &Failure) -> bool {
    matches!(
        failure.kind,
        FailureKind::Unavailable | FailureKind::Timeout
    )
}
