//! What a run tells while it goes on. Progress bar, log and record listen.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    check::CheckResult,
    failure::Failure,
    ids::RunId,
    step::{Acquired, Step},
    timeline::Milestone,
    verdict::{Cleanup, Verdict},
};

/// One event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    pub run: RunId,
    pub at: Timestamp,
    /// Monotonic, since the run was requested.
    pub offset_us: u64,
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "event")]
pub enum EventKind {
    /// The run begins.
    RunStarted {
        drill: String,
        engine: String,
    },
    StepStarted {
        step: Step,
    },
    StepDone {
        step: Step,
        elapsed_ms: u64,
        summary: String,
    },
    StepFailed {
        step: Step,
        failure: Failure,
    },
    /// A milestone of the timeline was reached.
    Reached {
        milestone: Milestone,
    },
    /// Work within a step moved on. `total` is 0 where it is not known.
    Progress {
        what: String,
        done: u64,
        total: u64,
        unit: Unit,
    },
    /// Something worth knowing that changes nothing.
    Note {
        message: String,
    },
    CheckDone {
        check: CheckResult,
    },
    Concluded {
        verdict: Verdict,
    },
    ReleaseStarted {
        acquired: Acquired,
    },
    ReleaseFailed {
        acquired: Acquired,
        failure: Failure,
    },
    Finished {
        cleanup: Cleanup,
    },
}

/// What progress counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Bytes,
    Rows,
    Items,
}

/// Hears the events of a run. Must not block: a slow listener would change
/// what is measured.
pub trait Listener: Send + Sync {
    /// Takes note of an event.
    fn hear(&self, event: &Event);
}

/// Whole microseconds, saturating.
#[must_use]
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
