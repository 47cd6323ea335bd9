//! Who is still to be told of a run's end, or of what happened in a period.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use super::Period;
use crate::{domain::ids::RunId, runner::store::StoreError};

/// What somebody is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// How a run ended.
    Run(RunId),
    /// What happened in a period.
    Period(Period),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => run.fmt(f),
            Self::Period(Period { since, until }) => write!(f, "{since}/{until}"),
        }
    }
}

/// What somebody is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub subject: Subject,
    /// Whom to tell: a name in the service's file.
    pub target: String,
    /// How often it was tried, this time included.
    pub tries: u32,
}

/// Notices survive the process that has noted them; each is told by one
/// process at a time, and at least once. All of this is by the history's own
/// clock.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Notes that a target is to be told of a subject, `wait` from now, unless
    /// that was noted before.
    async fn post(&self, subject: Subject, target: &str, wait: Duration) -> Result<(), StoreError>;

    /// Takes notices that are due, at most `limit`. Whoever takes one has `lease`
    /// before another one may.
    async fn take(&self, lease: Duration, limit: u32) -> Result<Vec<Notice>, StoreError>;

    /// How long to wait before a notice is tried again; for ever, where it was
    /// told or is given up. Changes nothing where somebody else has taken it
    /// since.
    async fn put_off(&self, notice: &Notice, by: Option<Duration>) -> Result<(), StoreError>;
}

/// How long to wait after so many tries.
#[must_use]
pub fn pause(tries: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(10);
    const LONGEST: Duration = Duration::from_hours(1);
    let doubled = FIRST.saturating_mul(1_u32 << tries.saturating_sub(1).min(20));
    doubled.min(LONGEST)
}
