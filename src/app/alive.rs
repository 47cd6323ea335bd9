//! That this process lives, said to others who share the history; and that
//! they want a run of it to end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::App;
use crate::{
    clock::Clock,
    domain::{failure::Failure, ids::RunId},
    history::History,
    runner::{
        cancel::{Cancel, Why},
        store::{Owner, StoreError},
    },
};

/// How often to look whether somebody wants a run to end, where nobody has to
/// be told that this process lives.
const LOOK: Duration = Duration::from_secs(5);

/// Since when this process has said without a break that it lives. Until that
/// is as long as a claim lasts, the others had no chance to say so, too: as
/// when the history was out of reach for all of them, or its clock was set ahead.
#[derive(Debug, Default)]
pub struct Beats(Mutex<Option<Unbroken>>);

#[derive(Debug, Clone, Copy)]
struct Unbroken {
    since: Duration,
    last: Duration,
    /// What the history's clock read then.
    theirs: Timestamp,
}

impl Beats {
    fn said(&self, now: Duration, theirs: Timestamp, claim: Duration) {
        let mut beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = |before: &Unbroken| {
            let passed = now.saturating_sub(before.last);
            // Others say it three times in a claim: a smaller step silences nobody.
            let all = SignedDuration::try_from(passed + claim / 3);
            passed < claim && all.is_ok_and(|all| theirs.duration_since(before.theirs) <= all)
        };
        let since = beats.filter(goes_on).map_or(now, |before| before.since);
        *beats = Some(Unbroken {
            since,
            last: now,
            theirs,
        });
    }

    /// Whether the silence of others means something.
    fn can_judge(&self, now: Duration, claim: Duration) -> bool {
        let beats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        beats.is_some_and(|Unbroken { since, last, .. }| {
            now.saturating_sub(since) >= claim && now.saturating_sub(last) < claim
        })
    }
}

/// The runs that this process works on.
#[derive(Debug, Default)]
pub struct Live(Mutex<HashMap<RunId, Cancel>>);

impl Live {
    /// Has the run until what it gives is dropped.
    pub fn add(self: &Arc<Self>, run: RunId, cancel: Cancel) -> impl Drop + use<> {
        self.runs().insert(run, cancel);
        Forget {
            live: self.clone(),
            run,
        }
    }

    pub fn has(&self, run: RunId) -> bool {
        self.runs().contains_key(&run)
    }

    fn is_empty(&self) -> bool {
        self.runs().is_empty()
    }

    fn end(&self, run: RunId, why: Why) {
        if let Some(cancel) = self.runs().get(&run) {
            cancel.cancel(why);
        }
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Cancel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Forget {
    live: Arc<Live>,
    run: RunId,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.live.runs().remove(&self.run);
    }
}

impl App {
    /// Says that this process lives, for as long as what it gives is kept; a
    /// service says so all the time.
    ///
    /// # Errors
    /// If it cannot be said once.
    pub(super) async fn stays_alive(&self) -> Result<Option<impl Drop + use<>>, StoreError> {
        if self.serving {
            return Ok(None);
        }
        let beating = self.beating();
        beating.beat().await?;
        let task = tokio::spawn(async move { beating.keep().await });
        Ok(Some(Abort(task)))
    }

    /// What says that this process lives.
    pub(super) fn beating(&self) -> Beating {
        Beating {
            history: self.history.clone(),
            owner: self.owner(),
            claim: self.claim,
            live: self.live.clone(),
            to_sweep: self.to_sweep.clone(),
            beats: self.beats.clone(),
            clock: self.clock.clone(),
        }
    }

    /// Those of others who live, as far as that can be judged; `None` where it
    /// cannot.
    pub(super) async fn others_alive(&self) -> Result<Option<Vec<Owner>>, StoreError> {
        // Its clock may have been set since this process last said something.
        self.beating().beat().await?;
        match self.claim {
            Some(claim) if self.beats.can_judge(self.clock.monotonic(), claim) => {
                self.history.alive().await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Waits until the silence of others means something, where somebody is
    /// silent.
    ///
    /// # Errors
    /// If the history cannot be read or written.
    pub async fn until_silence_counts(&self) -> Result<(), StoreError> {
        if let Some(claim) = self.claim
            && self.history.orphaned().await?
        {
            let _alive = self.stays_alive().await?;
            tokio::time::sleep(claim).await;
        }
        Ok(())
    }
}

struct Abort(tokio::task::JoinHandle<()>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Says again and again that a process lives.
pub struct Beating {
    history: Arc<dyn History>,
    owner: Owner,
    claim: Option<Duration>,
    live: Arc<Live>,
    to_sweep: Arc<Notify>,
    beats: Arc<Beats>,
    clock: Arc<dyn Clock>,
}

impl Beating {
    /// Goes on for ever.
    pub async fn keep(self) {
        let pause = self.claim.map_or(LOOK, |claim| claim / 3);
        loop {
            tokio::time::sleep(pause).await;
            // A history that gives no answer must not keep the next word back.
            let said = tokio::time::timeout(pause, self.once()).await;
            let error = match said {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => Failure::from(&error).message,
                Err(_) => "no answer in time".to_owned(),
            };
            tracing::warn!(error, "cannot tell the history that this process lives");
        }
    }

    async fn once(&self) -> Result<(), StoreError> {
        self.beat().await?;
        if let Some(claim) = self.claim
            && self.beats.can_judge(self.clock.monotonic(), claim)
            && self.history.orphaned().await?
        {
            self.to_sweep.notify_one();
        }
        if !self.live.is_empty() {
            for (run, why) in self.history.asked_to_end(&self.owner).await? {
                tracing::info!(%run, ?why, "somebody wants the run to end early");
                self.live.end(run, why);
            }
        }
        Ok(())
    }

    /// Says it once.
    ///
    /// # Errors
    /// If the history cannot be written.
    pub async fn beat(&self) -> Result<(), StoreError> {
        match self.claim {
            Some(claim) => {
                let theirs = self.history.beat(&self.owner, claim).await?;
                self.beats.said(self.clock.monotonic(), theirs, claim);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Says that it ends. What it may have left is taken over at once.
    pub async fn leave(&self) {
        if self.claim.is_some()
            && let Err(error) = self.history.leave(&self.owner).await
        {
            tracing::debug!(%error, "cannot tell the history that this process ends");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One whose history has the right time.
    fn said(beats: &Beats, second: u64, claim: Duration) {
        let theirs = Timestamp::UNIX_EPOCH + Duration::from_secs(second);
        beats.said(Duration::from_secs(second), theirs, claim);
    }

    #[test]
    fn silence_counts_only_after_a_whole_claim_without_a_break() {
        let beats = Beats::default();
        let (claim, at) = (Duration::from_secs(30), Duration::from_secs);
        assert!(!beats.can_judge(at(100), claim));
        for second in [0, 10, 20] {
            said(&beats, second, claim);
            assert!(!beats.can_judge(at(second), claim));
        }
        said(&beats, 30, claim);
        assert!(beats.can_judge(at(30), claim));
        // It was held up, or the history out of reach: so may have been others.
        assert!(!beats.can_judge(at(60), claim));
        said(&beats, 61, claim);
        assert!(!beats.can_judge(at(61), claim));
        said(&beats, 80, claim);
        said(&beats, 91, claim);
        assert!(beats.can_judge(at(91), claim));
    }

    /// By it, all others are silent from one instant to the next.
    #[test]
    fn a_step_of_the_historys_clock_means_nothing() {
        let (claim, at) = (Duration::from_secs(30), Duration::from_secs);
        for (ahead, judges) in [(9, true), (11, false), (100_000, false), (-100_000, true)] {
            let beats = Beats::default();
            for second in [0, 10, 20, 30] {
                said(&beats, second, claim);
            }
            let theirs = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(40 + ahead);
            beats.said(at(40), theirs, claim);
            assert_eq!(beats.can_judge(at(40), claim), judges, "{ahead}");
            let later = |seconds| theirs + Duration::from_secs(seconds);
            for seconds in [10, 20, 30] {
                beats.said(at(40 + seconds), later(seconds), claim);
            }
            assert!(beats.can_judge(at(70), claim), "{ahead}");
        }
    }
}
