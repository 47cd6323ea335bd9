//! What is counted of runs, and what their trends tell: read without any record.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::{
    domain::{check::Proof, ids::RunId, tally::Tally, verdict::Verdict},
    runner::store::StoreError,
};

/// Tallies that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    pub tallies: Vec<(String, Tally)>,
    /// What to give as `since` the next time.
    pub as_of: Timestamp,
}

/// What became of counting some runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaughtUp {
    pub runs: usize,
    /// Where to go on; `None` where there are no more.
    pub next: Option<Timestamp>,
}

/// Which part of a drill's trend is asked for.
#[derive(Debug, Clone)]
pub struct Trend {
    pub drill: String,
    /// Only runs that are not known to be of other namespaces than these.
    pub namespaces: Option<Vec<String>>,
    /// Only those that come after this one.
    pub after: Option<(Timestamp, RunId)>,
    pub limit: u32,
}

/// A run in a trend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    pub run: RunId,
    pub concluded_at: Timestamp,
    pub verdict: Verdict,
    /// `None` where none was measured that may be called so.
    pub rto_ms: Option<u64>,
    pub rpo_ms: Option<u64>,
    /// `None` where the run is not counted: nothing is known of its figures.
    pub proof: Option<Proof>,
    pub negative_control: bool,
}

/// A run is counted in the very write that concludes it, once, and stays counted
/// when it is forgotten.
#[async_trait]
pub trait Tallies: Send + Sync {
    /// The tallies of drills, of all or of those that changed since an earlier
    /// answer; some others may be among them.
    async fn tallies(&self, since: Option<Timestamp>) -> Result<Changed, StoreError>;

    /// Counts runs that a program of the version before concluded, at `until` or
    /// earlier, the newest first, at most `limit`.
    async fn catch_up(&self, until: Option<Timestamp>, limit: u32) -> Result<CaughtUp, StoreError>;

    /// Runs of a drill whose verdict is drawn, the newest first.
    async fn trend(&self, wanted: &Trend) -> Result<Vec<Point>, StoreError>;
}

/// The tallies of all drills, kept by who asks again and again: only what changed
/// is read.
#[derive(Debug, Default)]
pub struct Followed(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    since: Option<Timestamp>,
    now: AsOfNow,
}

/// The tallies of all drills, by name.
#[derive(Debug, Clone, Default)]
pub struct AsOfNow {
    pub tallies: Arc<BTreeMap<String, Arc<Tally>>>,
    /// Grows whenever something in them changes.
    pub version: u64,
}

impl Followed {
    /// As they are now.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub async fn now(&self, history: &(impl Tallies + ?Sized)) -> Result<AsOfNow, StoreError> {
        let mut known = self.0.lock().await;
        let changed = history.tallies(known.since).await?;
        known.since = Some(changed.as_of);
        for (drill, tally) in changed.tallies {
            known.now.put(drill, tally);
        }
        Ok(known.now.clone())
    }
}

impl AsOfNow {
    fn put(&mut self, drill: String, tally: Tally) {
        if self
            .tallies
            .get(&drill)
            .is_some_and(|known| **known == tally)
        {
            return;
        }
        // Somebody may still tell of them as they were.
        Arc::make_mut(&mut self.tallies).insert(drill, Arc::new(tally));
        self.version += 1;
    }
}
