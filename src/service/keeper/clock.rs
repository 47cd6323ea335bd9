//! A clock that is set.
//!
//! Fire times are by the wall clock, whatever that does: each is dealt with
//! once. But an instant that only says "in ten seconds" would be an hour away
//! where the clock was set back by an hour meanwhile.

use jiff::{SignedDuration, Timestamp};

use super::Keeper;

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
        self.full_until = None;
        self.adopts_at = None;
        self.waiting.rest_no_more();
        let scheduled = self.drills.iter();
        let scheduled = scheduled.filter(|(_, kept)| kept.drill.schedule.is_some());
        for (name, _) in scheduled {
            self.queue.put(name, Some(now));
        }
    }
}
