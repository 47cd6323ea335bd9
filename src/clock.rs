//! Time as a parameter: the only place that reads a real clock.
//!
//! Durations come from the monotonic clock, never from subtracting wall times;
//! wall times are for people and for comparing with other machines' records.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use jiff::Timestamp;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// Wall time, UTC.
    fn now(&self) -> Timestamp;
    /// Time since an origin that stays the same for the life of this clock.
    fn monotonic(&self) -> Duration;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic origin is now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
    pub fn new() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that may")]
    fn now(&self) -> Timestamp {
        #[cfg(debug_assertions)]
        let wall = set::ahead(Timestamp::now());
        #[cfg(not(debug_assertions))]
        let wall = Timestamp::now();
        wall
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// In a build with assertions, for tests of clocks that are set: the wall clock
/// is as many seconds ahead as the file says that `LIFEBOAT_TEST_CLOCK` names.
#[cfg(debug_assertions)]
mod set {
    use std::{path::PathBuf, sync::LazyLock};

    use jiff::{SignedDuration, Timestamp};

    static FILE: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("LIFEBOAT_TEST_CLOCK").map(PathBuf::from));

    pub fn ahead(wall: Timestamp) -> Timestamp {
        let said = FILE
            .as_ref()
            .and_then(|file| std::fs::read_to_string(file).ok());
        let seconds = said.and_then(|said| said.trim().parse().ok());
        wall + SignedDuration::from_secs(seconds.unwrap_or(0))
    }
}

/// A clock that moves only when told to, for tests.
#[derive(Debug)]
pub struct ManualClock {
    state: Mutex<(Timestamp, Duration)>,
}

impl ManualClock {
    /// Stands still at `start` until advanced.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self {
            state: Mutex::new((start, Duration::ZERO)),
        }
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut state = self.lock();
        state.0 += by;
        state.1 += by;
    }

    /// Moves the wall clock alone, as an NTP step would.
    pub fn step_wall(&self, to: Timestamp) {
        self.lock().0 = to;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Timestamp, Duration)> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().0
    }

    fn monotonic(&self) -> Duration {
        self.lock().1
    }
}
