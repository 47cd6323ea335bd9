//! How an agent's clock stands to the run's.
//!
//! The agent's clock is not ours. Both run at the same speed, so one number
//! lies between them, and every line bounds it: a line cannot be heard before
//! it is said. The quickest line of all gives the closest bound, and the agent
//! says something every second, so a line that comes late, because the stream
//! broke or this process was away, is still put where it belongs.
//!
//! A process that takes up a run of one that died has another clock again, and
//! does not know for how long nobody was there. But the one before has written
//! down where in the run the agent's clock began: so nothing has to be found out
//! anew, and what the agent says has its place whenever it is heard.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    domain::event::{EventKind, micros},
    engine::EventSink,
};

/// What comes within so many microseconds was there already.
const AT_ONCE: u64 = 100_000;

/// Which agent is heard, and how its clock stands.
#[derive(Debug, Clone, Default)]
pub(super) struct Tie {
    /// Which one: that of the first line.
    pub life: Option<i64>,
    zero: Zero,
    /// On our clock: the first line, and the last, in microseconds.
    heard: Option<(u64, u64)>,
    /// The longest time between a line's being said and its being heard, in
    /// microseconds.
    lag: u64,
}

/// The zero of the agent's clock, in microseconds.
#[derive(Debug, Clone, Copy)]
enum Zero {
    /// On our clock, at most; not known before the first line.
    Ours(Option<u64>),
    /// In the run, as it was written down.
    InRun(u64),
}

impl Default for Zero {
    fn default() -> Self {
        Self::Ours(None)
    }
}

/// What another process has to know to go on hearing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tied {
    pub life: i64,
    /// When the agent's clock began: after the run was requested, in
    /// microseconds.
    pub offset_us: u64,
}

impl From<Tied> for Tie {
    fn from(tied: Tied) -> Self {
        Self {
            life: Some(tied.life),
            zero: Zero::InRun(tied.offset_us),
            ..Self::default()
        }
    }
}

impl Tie {
    /// What was learnt so far; `now` on our clock is `elapsed` in the run.
    pub(super) fn tied(&self, now: u64, elapsed: Duration) -> Option<Tied> {
        let offset_us = match self.zero {
            Zero::InRun(offset_us) => offset_us,
            Zero::Ours(zero) => micros(elapsed).checked_sub(now.saturating_sub(zero?))?,
        };
        Some(Tied {
            life: self.life?,
            offset_us,
        })
    }

    /// A line that was said at `us` on the agent's clock is heard `now`.
    pub(super) fn hear(&mut self, now: u64, us: u64) -> When {
        self.heard = Some((self.heard.map_or(now, |(first, _)| first), now));
        match &mut self.zero {
            Zero::InRun(offset_us) => When::InRun(Duration::from_micros(*offset_us + us)),
            Zero::Ours(zero) => {
                let bound = now.saturating_sub(us);
                let closest = zero.map_or(bound, |zero| zero.min(bound));
                *zero = Some(closest);
                let ago = now.saturating_sub(closest + us);
                self.lag = self.lag.max(ago);
                When::Ago(Duration::from_micros(ago))
            }
        }
    }

    /// Whether a line has been heard as it was said. What the agent had said
    /// before anybody listened comes all at once, and late: it bounds its clock
    /// from far away.
    pub(super) fn is_close(&self) -> bool {
        let since = self.heard.map_or(0, |(first, last)| last - first);
        matches!(self.zero, Zero::InRun(_)) || since >= AT_ONCE
    }

    /// The longest time between a line's being said and its being heard. `None`
    /// where nobody was there to hear.
    pub(super) fn lag(&self) -> Option<Duration> {
        match self.zero {
            Zero::Ours(_) => Some(Duration::from_micros(self.lag)),
            Zero::InRun(_) => None,
        }
    }
}

/// When a line was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Ago(Duration),
    /// So long after the run was requested.
    InRun(Duration),
}

impl When {
    /// Tells an event of then.
    pub(super) fn tell(self, events: &dyn EventSink, event: EventKind) {
        match self {
            Self::Ago(ago) => events.emit_ago(event, ago),
            Self::InRun(offset) => events.emit_at(event, offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_over_needs_no_clock_of_its_own() {
        let mut tie = Tie {
            life: Some(7),
            ..Tie::default()
        };
        assert_eq!(tie.tied(9_001, Duration::from_micros(8_001)), None);
        // Our clock began 1,000 before the run, the agent's at 4,000 in it.
        tie.hear(5_140, 100);
        tie.hear(5_210, 200);
        let tied = tie.tied(6_001, Duration::from_micros(5_001)).unwrap();
        assert_eq!((tied.life, tied.offset_us), (7, 4_010));
        assert!(!tie.is_close(), "it may all have been said before");
        tie.hear(5_140 + AT_ONCE, 100_300);
        assert!(tie.is_close());
        // Another process, whose clock has just begun, long after.
        let mut again = Tie::from(tied);
        for now in [3, 50_000] {
            let when = again.hear(now, 300);
            assert_eq!(when, When::InRun(Duration::from_micros(4_310)));
        }
        assert_eq!(again.tied(1, Duration::ZERO), Some(tied));
        assert_eq!(again.lag(), None);
    }
}
