//! What is counted of runs, and what their trends tell: read without any record.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::{
    clock::Clock,
    domain::{check::Proof, ids::RunId, tally::Tally, verdict::Verdict},
    runner::store::StoreError,
};

/// Tallies that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// `None` where it cannot be read: as a newer version may have written it.
    pub tallies: Vec<(String, Option<Tally>)>,
    /// What to give as `since` the next time.
    pub mark: Mark,
}

/// Up to where tallies are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// By the clock of the history.
    pub as_of: Timestamp,
    /// When those had changed that were read and are still to be looked at: what
    /// is as it was then need not be read again.
    pub seen: Changes,
}

/// When tallies were last changed, by drill.
pub type Changes = BTreeMap<String, Timestamp>;

/// What became of counting some runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaughtUp {
    pub runs: usize,
    /// How many were found that cannot be counted here.
    pub left: usize,
    /// Where to go on; `None` where there are no more.
    pub next: Option<Timestamp>,
}

/// Which part of a drill's trend is asked for.
#[derive(Debug, Clone)]
pub struct Trend {
    pub drill: String,
    /// Only runs of these namespaces or of none. One that is not counted, of which
    /// that is not known, is left out.
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
    async fn tallies(&self, since: Option<&Mark>) -> Result<Changed, StoreError>;

    /// Counts runs that a program of the version before concluded, at `until` or
    /// earlier, the newest first, at most `limit`.
    async fn catch_up(&self, until: Option<Timestamp>, limit: u32) -> Result<CaughtUp, StoreError>;

    /// Runs of a drill whose verdict is drawn, the newest first.
    async fn trend(&self, wanted: &Trend) -> Result<Vec<Point>, StoreError>;
}

/// How often all tallies are read, and not only what changed: what was written by a
/// clock that was set back meanwhile, or long before it could be seen, is then seen.
const ALL_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// What was read so lately is not read again for each who asks about drills.
const FRESH: Duration = Duration::from_millis(500);

/// How drills stand is told although the history does not say in time how their
/// newest runs ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// The tallies of all drills, kept by who asks again and again: only what changed
/// is read.
#[derive(Debug, Default)]
pub struct Followed {
    /// When somebody has last begun to read, by the monotonic clock.
    turn: Mutex<Option<Duration>>,
    read: tokio::sync::Mutex<Read>,
    known: Mutex<AsOfNow>,
}

/// What was read, and when all was, by the clock of the history.
#[derive(Debug, Default)]
struct Read {
    last: Option<Mark>,
    all: Option<Timestamp>,
}

/// The tallies of all drills, by name.
#[derive(Debug, Clone, Default)]
pub struct AsOfNow {
    /// `None` where one cannot be read here.
    pub tallies: Arc<BTreeMap<String, Option<Arc<Tally>>>>,
    /// Grows whenever something in them changes.
    pub version: u64,
}

impl Followed {
    /// As they are now.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub async fn now(&self, history: &(impl Tallies + ?Sized)) -> Result<AsOfNow, StoreError> {
        let mut read = self.read.lock().await;
        let mut changed = history.tallies(read.since()).await?;
        let last = read.last.as_ref();
        if last.is_some_and(|last| changed.mark.as_of < last.as_of) {
            // The clock was set back.
            *read = Read::default();
            changed = history.tallies(None).await?;
        }
        if read.since().is_none() {
            read.all = Some(changed.mark.as_of);
        }
        read.last = Some(changed.mark);
        let mut known = self.known();
        for (drill, tally) in changed.tallies {
            known.put(drill, tally);
        }
        Ok(known.clone())
    }

    /// As they were a moment ago, or when the history could last be read, where it
    /// does not answer in time. However many ask, it is read once in that time.
    pub async fn lately(&self, history: &(impl Tallies + ?Sized), clock: &dyn Clock) -> AsOfNow {
        let now = clock.monotonic();
        if !self.is_my_turn(now) {
            return self.known().clone();
        }
        let Ok(Ok(read)) = tokio::time::timeout(PATIENCE, self.now(history)).await else {
            return self.known().clone();
        };
        *self.turn() = Some(now);
        read
    }

    /// Whether what is known is old, and nobody reads it anew. Where nothing is
    /// known yet, all wait for it.
    fn is_my_turn(&self, now: Duration) -> bool {
        let mut last = self.turn();
        match *last {
            Some(at) if now.saturating_sub(at) < FRESH => return false,
            Some(_) => *last = Some(now),
            None => {}
        }
        true
    }

    fn turn(&self) -> MutexGuard<'_, Option<Duration>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, AsOfNow> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read {
    /// `None` where all are to be read.
    fn since(&self) -> Option<&Mark> {
        let (last, all) = (self.last.as_ref()?, self.all?);
        Some(last).filter(|last| last.as_of.duration_since(all) < ALL_AGAIN)
    }
}

impl AsOfNow {
    fn put(&mut self, drill: String, tally: Option<Tally>) {
        let known = self.tallies.get(&drill);
        if known.is_some_and(|known| known.as_deref() == tally.as_ref()) {
            return;
        }
        // Somebody may still tell of them as they were.
        Arc::make_mut(&mut self.tallies).insert(drill, tally.map(Arc::new));
        self.version += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reads_for_all_who_ask_at_once() {
        let followed = Followed::default();
        let at = Duration::from_secs;
        // Nothing is known: whoever asks waits for it.
        assert!(followed.is_my_turn(at(1)) && followed.is_my_turn(at(1)));
        *followed.turn() = Some(at(1));
        assert!(!followed.is_my_turn(at(1)));
        assert!(followed.is_my_turn(at(2)));
        assert!(!followed.is_my_turn(at(2)));
    }
}
