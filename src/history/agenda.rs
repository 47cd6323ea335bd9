//! What became of fire times.

use std::{collections::BTreeMap, str::FromStr};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::Period;
use crate::{
    domain::ids::{DrillName, RunId},
    runner::store::StoreError,
    schedule::{Missed, Reason},
};

/// The clocks of machines differ by less. A fire time that seems to be dealt with
/// and is further ahead than that was so by a clock that was wrong.
pub const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// Whether a fire time is too far ahead to be dealt with at `now`.
#[must_use]
pub fn is_ahead(scheduled_for: Timestamp, now: Timestamp) -> bool {
    scheduled_for.duration_since(now) > AHEAD
}

/// A fire time that was dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Fire {
    pub drill: String,
    pub scheduled_for: Timestamp,
    #[serde(flatten)]
    pub outcome: Outcome,
    /// So many fire times before it passed for the same reason, and are not
    /// told one by one.
    pub older: u64,
}

/// What became of a fire time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// A run; none where its record was removed since.
    Started { run: Option<RunId> },
    /// No run.
    Passed { reason: Reason },
}

impl Outcome {
    /// How it is stored.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => STARTED,
            Self::Passed { reason } => reason.name(),
        }
    }

    /// The run that was started and is still known.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        match self {
            Self::Started { run } => *run,
            Self::Passed { .. } => None,
        }
    }

    /// That the records of these runs were removed.
    pub(super) fn forget(&mut self, runs: &[RunId]) {
        if let Self::Started { run } = self {
            run.take_if(|run| runs.contains(run));
        }
    }

    /// As it was stored; `None` where no version of this program stores it so.
    #[must_use]
    pub fn read(name: &str, run: Option<RunId>) -> Option<Self> {
        if name == STARTED {
            return Some(Self::Started { run });
        }
        Reason::named(name).map(|reason| Self::Passed { reason })
    }
}

const STARTED: &str = "started";

/// What is noted of a drill's fire times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    pub drill: DrillName,
    /// They pass without a run.
    pub passed: Vec<Missed>,
    /// So many more before them do.
    pub older: u64,
    /// All are dealt with up to here.
    pub until: Timestamp,
}

/// Why a fire time passed, as somebody asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    Any,
    This(Reason),
}

/// What is no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no reason: use missed, blackout, suspended, overlap, budget, cancelled, or any for \
     all of them"
)]
pub struct NoReason(String);

impl FromStr for Why {
    type Err = NoReason;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let reason = Reason::named(text).map(Self::This);
        reason.ok_or_else(|| NoReason(text.to_owned()))
    }
}

/// Which fire times are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FireFilter {
    /// Of these drills only.
    pub drills: Option<Vec<String>>,
    /// Only those that passed without a run, for this reason.
    pub passed: Option<Why>,
    /// Only those that come after this one in the list: its time and its drill.
    pub after: Option<(Timestamp, String)>,
    /// At most so many.
    pub limit: u32,
}

impl FireFilter {
    /// Whether a fire time is one of those, wherever it stands in the list.
    #[must_use]
    pub fn fits(&self, fire: &Fire) -> bool {
        let among = |drills: &Vec<String>| drills.contains(&fire.drill);
        let passed = |why| match (why, fire.outcome) {
            (_, Outcome::Started { .. }) => false,
            (Why::Any, Outcome::Passed { .. }) => true,
            (Why::This(wanted), Outcome::Passed { reason }) => wanted == reason,
        };
        self.drills.as_ref().is_none_or(among) && self.passed.is_none_or(passed)
    }
}

/// Fire times of a drill that passed without a run, for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    pub drill: String,
    pub reason: Reason,
    pub fire_times: u64,
}

/// Fire times of all drills. That a fire time has a run is noted by
/// [`begin`](crate::runner::store::RunStore::begin), together with the run.
#[async_trait]
pub trait Agenda: Send + Sync {
    /// Up to which fire time each of these drills, given with its calendar, is
    /// dealt with. One that was never seen, or not with this calendar, is dealt
    /// with up to `now` from here on: fire times that were not to be then are
    /// not made up for. So is one that is dealt with [too far ahead](is_ahead), also by
    /// the history's own clock.
    async fn settled(
        &self,
        drills: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, Timestamp>, StoreError>;

    /// What these drills have missed that is [too far ahead](is_ahead), also by the
    /// history's own clock, is forgotten: a clock was ahead, and it is still to come.
    async fn is_still_to_come(
        &self,
        drills: &[DrillName],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Up to which fire time this drill is dealt with, by whichever process;
    /// `None` for one that was never seen.
    async fn reached(&self, drill: &str) -> Result<Option<Timestamp>, StoreError>;

    /// Notes fire times that pass without a run: all or none. What was settled
    /// before stays as it is.
    async fn settle(&self, settlements: &[Settlement], now: Timestamp) -> Result<(), StoreError>;

    /// The fire times that were dealt with, newest first.
    async fn fires(&self, filter: &FireFilter) -> Result<Vec<Fire>, StoreError>;

    /// How many fire times passed without a run, by drill and reason: those of
    /// which that was noted in this period.
    async fn passed(&self, period: Period) -> Result<Vec<Passed>, StoreError>;
}
