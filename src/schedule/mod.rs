//! When a drill is due: pure rules over given times, no clock and no waiting.

mod blackout;
mod calendar;
mod cron;
mod interval;
mod jitter;
mod overlap;
mod plan;
mod trigger;
mod zone;

pub use self::{
    blackout::{Blackout, Recurring},
    calendar::Calendar,
    cron::{Cron, CronError},
    overlap::{Before, Origin, Overlap, Turn},
    plan::{Missed, Plan, Reason, plan},
    trigger::{Looks, Trigger},
    zone::{UnknownZone, Zone},
};

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// When a drill runs by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    pub trigger: Trigger,
    /// Each fire time has its start within this time after it, always at the
    /// same distance for the same drill; zero where absent.
    pub start_window: Duration,
    /// What starts later than this after its start was due does not start.
    pub starting_deadline: Duration,
    pub catch_up: CatchUp,
    pub overlap: Overlap,
    pub blackouts: Vec<Blackout>,
    /// Nothing runs by itself.
    pub suspended: bool,
}

/// What becomes of fire times that nobody was there for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CatchUp {
    /// They are noted as missed.
    #[default]
    Skip,
    /// The newest of them runs as soon as it can; the others are noted.
    Once,
}

impl Schedule {
    /// The first fire times after `after`, with the instant at which each would
    /// start, or why it would not.
    pub fn upcoming(&self, drill: &str, after: Timestamp) -> impl Iterator<Item = Upcoming> {
        let distance = jitter::offset(drill, self.start_window);
        let fires = self.trigger.calendar().into_iter();
        let fires = fires.flat_map(move |calendar| calendar.fires(after));
        fires.map(move |scheduled_for| {
            let starts_at = scheduled_for + distance;
            Upcoming {
                scheduled_for,
                starts_at,
                skipped: self.prevented(starts_at),
            }
        })
    }

    /// The first ones that start after `from`, however long ago their fire times were.
    pub fn starting(&self, drill: &str, from: Timestamp) -> impl Iterator<Item = Upcoming> {
        self.upcoming(drill, from - jitter::offset(drill, self.start_window))
    }

    /// What keeps a run from starting at an instant, whoever is there for it.
    #[must_use]
    pub fn prevented(&self, starts_at: Timestamp) -> Option<Reason> {
        if self.suspended {
            return Some(Reason::Suspended);
        }
        let zone = self.trigger.zone();
        let dark = self.blackouts.iter().any(|one| one.covers(starts_at, zone));
        dark.then_some(Reason::Blackout)
    }
}

/// A fire time that lies ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upcoming {
    /// The fire time as the schedule says it: it names the run.
    pub scheduled_for: Timestamp,
    /// When the run is to start.
    pub starts_at: Timestamp,
    /// Why it will not.
    pub skipped: Option<Reason>,
}
