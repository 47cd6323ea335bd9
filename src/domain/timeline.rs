//! The milestones of a run and the clock that measures recovery time.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An instant of a run that matters, in the order in which a run usually
/// meets them.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// Someone, or a schedule, asked for the run.
    Requested,
    /// Work began.
    Started,
    /// The recovery point is known and complete.
    RecoveryPointReady,
    /// In a real disaster: "restore it". The recovery clock starts.
    Declared,
    /// The scratch place and its fence stand.
    SandboxReady,
    /// The storage the data goes to is there.
    StorageBound,
    /// All data is in place, indexes and statistics included.
    DataRestored,
    /// The engine accepts connections.
    Accepting,
    /// A real read of restored data was answered.
    Reads,
    /// A real write was committed. The recovery clock stops.
    Serving,
    /// The checks are done.
    Verified,
    /// The exercises are done.
    Exercised,
    /// Everything was given back.
    Released,
}

impl Milestone {
    /// The name in JSON and traces.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Started => "started",
            Self::RecoveryPointReady => "recovery_point_ready",
            Self::Declared => "declared",
            Self::SandboxReady => "sandbox_ready",
            Self::StorageBound => "storage_bound",
            Self::DataRestored => "data_restored",
            Self::Accepting => "accepting",
            Self::Reads => "reads",
            Self::Serving => "serving",
            Self::Verified => "verified",
            Self::Exercised => "exercised",
            Self::Released => "released",
        }
    }
}

/// When a milestone was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reached {
    /// Wall time.
    pub at: Timestamp,
    /// Monotonic time since `requested`, in microseconds.
    pub offset_us: u64,
    /// How long after it was reached that was learnt, in microseconds: the
    /// times above are without it.
    #[serde(default, skip_serializing_if = "is_none")]
    pub lag_us: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_none(lag_us: &u64) -> bool {
    *lag_us == 0
}

/// All milestones that a run has reached. The first time counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Timeline(BTreeMap<Milestone, Reached>);

impl Timeline {
    /// Notes a milestone; a second report of the same one is ignored.
    pub fn reach(&mut self, milestone: Milestone, reached: Reached) {
        self.0.entry(milestone).or_insert(reached);
    }

    /// When `milestone` was reached.
    #[must_use]
    pub fn get(&self, milestone: Milestone) -> Option<Reached> {
        self.0.get(&milestone).copied()
    }

    /// The milestones in order of time.
    #[must_use]
    pub fn in_order(&self) -> Vec<(Milestone, Reached)> {
        let mut all: Vec<_> = self.0.iter().map(|(m, r)| (*m, *r)).collect();
        all.sort_by_key(|(m, r)| (r.offset_us, *m));
        all
    }

    /// Monotonic time from one milestone to another; `None` where either is
    /// missing or they are in the wrong order.
    #[must_use]
    pub fn between(&self, from: Milestone, to: Milestone) -> Option<Duration> {
        let (from, to) = (self.get(from)?, self.get(to)?);
        to.offset_us
            .checked_sub(from.offset_us)
            .map(Duration::from_micros)
    }

    /// The measured recovery time: `declared` to `serving`.
    #[must_use]
    pub fn recovery_time(&self) -> Option<Duration> {
        self.between(Milestone::Declared, Milestone::Serving)
    }
}
