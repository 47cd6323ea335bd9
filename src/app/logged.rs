//! A run as the log tells of it.

use std::sync::Arc;

use tracing::Span;

use crate::domain::{
    check::{CheckResult, Outcome},
    event::{Event, EventKind, Listener},
    failure::FailureKind,
    ids::{DrillName, RunId},
};

/// What the log calls the span of a run: each line within it wears its fields.
pub const RUN: &str = "run";

/// Tells how its steps and checks end, without what was found in the data.
pub(super) struct Logged(Span);

impl Logged {
    /// The log of a run.
    pub(super) fn new(run: RunId, drill: &DrillName) -> Arc<Self> {
        // Of the highest level: where only errors are told, they wear it, too.
        Arc::new(Self(tracing::error_span!(RUN, %run, %drill)))
    }

    /// What the run is to be carried out in.
    pub(super) fn span(&self) -> Span {
        self.0.clone()
    }
}

impl Listener for Logged {
    /// Events may come from tasks of which the log does not know whose they are.
    fn hear(&self, event: &Event) {
        self.0.in_scope(|| tell(&event.kind));
    }
}

fn tell(kind: &EventKind) {
    match kind {
        EventKind::StepDone {
            step, elapsed_ms, ..
        } => tracing::debug!(%step, elapsed_ms, "step done"),
        EventKind::StepFailed { step, failure } if failure.kind == FailureKind::Cancelled => {
            tracing::info!(%step, %failure, "step ended early");
        }
        EventKind::StepFailed { step, failure } => {
            tracing::warn!(%step, %failure, "step failed");
        }
        EventKind::CheckDone { check } => tell_check(check),
        EventKind::ReleaseFailed { acquired, failure } => {
            tracing::warn!(of = acquired.name(), %failure, "cannot give back");
        }
        _ => {}
    }
}

/// What a check says may name rows: that is in the record.
fn tell_check(done: &CheckResult) {
    let (check, elapsed_ms) = (&*done.name, done.elapsed_ms);
    match done.outcome {
        Outcome::Pass => tracing::debug!(check, elapsed_ms, "check passed"),
        Outcome::Untested => tracing::info!(check, elapsed_ms, "check not done"),
        Outcome::Fail => tracing::warn!(check, elapsed_ms, "check failed"),
    }
}
