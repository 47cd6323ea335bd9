//! A clock that is set.
//!
//! Fire times are by the wall clock, whatever that does: each is dealt with
//! once. But an instant that only says "in ten seconds" would be an hour away
//! where the clock was set back by an hour meanwhile.

use jiff::{SignedDuration, Timestamp};

use super::{AGAIN, Keeper, said};
use crate::{history::agenda::is_ahead, runner::store::StoreError};

/// What is corrected bit by bit stays below this.
const STEP: SignedDuration = SignedDuration::from_secs(15);

impl Keeper {
    /// Begins to wait anew, where the clock was set back since the last look.
    pub(super) fn notice_clock(&mut self, now: Timestamp) {
        let monotonic = self.parts.clock.monotonic();
        let last = self.read_at.replace((now, monotonic));
        let Some((wall, then)) = last else {
            return;
        };
        let expected = wall + monotonic.saturating_sub(then);
        if now + STEP >= expected {
            return;
        }
        tracing::warn!(expected = %expected, "the clock was set back");
        self.settles_at = Some(now);
        self.full_until = None;
        self.adopts_at = None;
        self.waiting.rest_no_more();
        let scheduled = self.drills.iter();
        let scheduled = scheduled.filter(|(_, kept)| kept.drill.schedule.is_some());
        for (name, _) in scheduled {
            self.queue.put(name, Some(now));
        }
    }

    /// Lets drills that are dealt with up to a time far ahead begin anew at `now`. What
    /// ran there does not run again, as its fire time has its run.
    pub(super) async fn settle_anew(&mut self, now: Timestamp) {
        if self.settles_at.is_none_or(|at| at > now) {
            return;
        }
        self.settles_at = None;
        if let Err(error) = self.try_settle_anew(now).await {
            tracing::warn!(error = %said(&error), "cannot go back to the right time");
            self.settles_at = Some(self.parts.clock.now() + AGAIN);
        }
    }

    async fn try_settle_anew(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let kept = self.drills.values();
        let ahead = kept.filter(|kept| is_ahead(kept.settled, now));
        let ahead: Vec<_> = ahead.map(|kept| kept.drill.clone()).collect();
        if ahead.is_empty() {
            return Ok(());
        }
        for (name, settled) in self.settled_of(&ahead, now).await? {
            if is_ahead(settled, now) {
                // The history's clock is still ahead, or this one is behind.
                self.settles_at = Some(now + AGAIN);
                continue;
            }
            let waits = self.waiting.of(&name).and_then(|one| one.fire);
            if waits.is_some_and(|fire| is_ahead(fire.scheduled_for, now)) {
                // It is found due again, when it is.
                self.waiting.take(&name);
            }
            if let Some(kept) = self.drills.get_mut(&name) {
                kept.settled = settled;
            }
            self.queue.put(&name, Some(now));
        }
        Ok(())
    }
}
