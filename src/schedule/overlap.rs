//! What becomes of a fire time at which its drill is still at work. Two runs of
//! a drill never go on at once, whatever its schedule says.

use serde::{Deserialize, Serialize};

/// What a schedule wants then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overlap {
    /// The fire time passes.
    #[default]
    Skip,
    /// It waits until the run has ended, as long as it may start.
    Wait,
    /// The run is ended for it.
    Replace,
}

/// What there is of a drill already when a fire time of it comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    /// What goes on.
    pub runs: Option<Origin>,
    /// What waits to begin.
    pub waits: Option<Origin>,
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An older fire time.
    Fire,
    /// Somebody, to whom it was promised.
    Promised,
}

/// Whose turn it is when a fire time comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// That of what there is already: the fire time passes.
    Others,
    /// The fire time's, once nothing else of the drill goes on. That of an older
    /// one, which waits, passes.
    Its,
    /// The same, and the run that goes on is ended for it.
    ItsAtOnce,
}

impl Overlap {
    /// Whose turn it is.
    #[must_use]
    pub fn turn(self, before: Before) -> Turn {
        match (before.waits, self) {
            (None, _) if before.runs.is_none() => Turn::Its,
            // What was promised comes, and nothing that waits need be ended.
            (Some(Origin::Promised), _) | (_, Self::Skip) => Turn::Others,
            // Nor is what somebody has asked for.
            (_, Self::Replace) if before.runs == Some(Origin::Fire) => Turn::ItsAtOnce,
            (_, Self::Wait | Self::Replace) => Turn::Its,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Overlap; 3] = [Overlap::Skip, Overlap::Wait, Overlap::Replace];

    const FIRE: Option<Origin> = Some(Origin::Fire);
    const PROMISED: Option<Origin> = Some(Origin::Promised);

    fn turns(runs: Option<Origin>, waits: Option<Origin>) -> [Turn; 3] {
        ALL.map(|overlap| overlap.turn(Before { runs, waits }))
    }

    #[test]
    fn a_drill_that_is_idle_has_no_overlap() {
        assert_eq!(turns(None, None), [Turn::Its; 3]);
    }

    #[test]
    fn a_run_that_goes_on_is_skipped_waited_for_or_ended() {
        let wanted = [Turn::Others, Turn::Its, Turn::ItsAtOnce];
        assert_eq!(turns(FIRE, None), wanted);
        // What has waited since the fire time before makes no difference.
        assert_eq!(turns(FIRE, FIRE), wanted);
    }

    #[test]
    fn of_fire_times_that_wait_the_newest_comes() {
        let wanted = [Turn::Others, Turn::Its, Turn::Its];
        assert_eq!(turns(None, FIRE), wanted);
    }

    #[test]
    fn nothing_goes_before_a_run_that_was_promised() {
        for runs in [None, FIRE, PROMISED] {
            assert_eq!(turns(runs, PROMISED), [Turn::Others; 3]);
        }
    }

    #[test]
    fn what_somebody_asked_for_is_not_ended_for_a_fire_time() {
        for waits in [None, FIRE] {
            let wanted = [Turn::Others, Turn::Its, Turn::Its];
            assert_eq!(turns(PROMISED, waits), wanted);
        }
    }
}
