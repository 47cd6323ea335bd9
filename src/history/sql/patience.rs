//! Trying again what may be possible soon: a database that starts anew, a
//! connection that was cut, another transaction in between.
//!
//! An answer that was lost says nothing of what was done. So whatever is tried
//! again first looks whether it is done already.

use std::time::Duration;

use crate::{
    clock::{Clock, SystemClock},
    runner::store::StoreError,
};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How much longer to try.
pub(super) struct Patience {
    clock: SystemClock,
    until: Duration,
    pause: Duration,
}

impl Patience {
    pub(super) fn new(all: Duration) -> Self {
        let clock = SystemClock::new();
        Self {
            until: clock.monotonic() + all,
            clock,
            pause: FIRST_PAUSE,
        }
    }

    /// Waits, and says whether to try again after `error`.
    pub(super) async fn lasts(&mut self, error: &StoreError) -> bool {
        let StoreError::Unreachable { doing, source } = error else {
            return false;
        };
        if self.clock.monotonic() + self.pause > self.until {
            return false;
        }
        tracing::debug!(doing, %source, "the history cannot be reached; trying again");
        // Many wait for the same: they do not come back all at once.
        tokio::time::sleep(self.pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}
