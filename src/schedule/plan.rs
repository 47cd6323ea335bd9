//! What becomes of the fire times up to now.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CatchUp, Schedule, Upcoming};

/// The most fire times that are told one by one; of more, only the newest are.
const MOST_TOLD: usize = 100;

/// Why a fire time passes without a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nobody was there for it, or it could not start in time.
    Missed,
    /// No run starts at that time.
    Blackout,
    /// The drill is suspended.
    Suspended,
    /// The drill's run before it was still going on.
    Overlap,
    /// Too many runs were going on until it was too late.
    Budget,
    /// Somebody cancelled its run, which waited for room.
    Cancelled,
}

impl Reason {
    const ALL: [Self; 6] = [
        Self::Missed,
        Self::Blackout,
        Self::Suspended,
        Self::Overlap,
        Self::Budget,
        Self::Cancelled,
    ];

    /// The one that is called so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Its name in the history.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Blackout => "blackout",
            Self::Suspended => "suspended",
            Self::Overlap => "overlap",
            Self::Budget => "budget",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A fire time that passes without a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    pub scheduled_for: Timestamp,
    pub reason: Reason,
}

/// What is to be done at an instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be noted, oldest first.
    pub passed: Vec<Missed>,
    /// So many more before them have passed, too.
    pub older: usize,
    /// To be started now.
    pub due: Option<Upcoming>,
    /// What comes next.
    pub next: Option<Upcoming>,
}

/// Plans for the fire times after `since`, which was the last one that was
/// dealt with, as things stand at `now`. Of several that could start now only
/// the newest does.
#[must_use]
pub fn plan(schedule: &Schedule, drill: &str, since: Timestamp, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    for fire in schedule.upcoming(drill, since) {
        if fire.starts_at > now {
            plan.next = Some(fire);
            break;
        }
        let late = fire.starts_at + schedule.starting_deadline < now;
        let reason = match fire.skipped {
            Some(reason) => Some(reason),
            None if late && schedule.catch_up == CatchUp::Skip => Some(Reason::Missed),
            None => None,
        };
        match reason {
            Some(reason) => plan.pass(fire, reason),
            None => {
                if let Some(older) = plan.due.replace(fire) {
                    plan.pass(older, Reason::Missed);
                }
            }
        }
    }
    // Late as it is, it may have got into a time at which nothing starts.
    if let Some(reason) = schedule.prevented(now)
        && let Some(due) = plan.due.take()
    {
        plan.pass(due, reason);
    }
    plan.passed.sort_by_key(|missed| missed.scheduled_for);
    plan
}

impl Plan {
    /// Whether a fire time is to be noted.
    #[must_use]
    pub fn passes(&self, scheduled_for: Timestamp) -> bool {
        let mut passed = self.passed.iter();
        passed.any(|missed| missed.scheduled_for == scheduled_for)
    }

    fn pass(&mut self, fire: Upcoming, reason: Reason) {
        if self.passed.len() == MOST_TOLD {
            self.passed.remove(0);
            self.older += 1;
        }
        self.passed.push(Missed {
            scheduled_for: fire.scheduled_for,
            reason,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::civil::time;

    use super::*;
    use crate::schedule::{Blackout, Calendar, Overlap, Recurring, Trigger, Zone};

    fn at_times(cron: &str) -> Trigger {
        Trigger::Calendar(Calendar {
            cron: cron.parse().unwrap(),
            zone: Zone::utc(),
        })
    }

    fn hourly() -> Schedule {
        Schedule {
            trigger: at_times("0 * * * *"),
            start_window: Duration::ZERO,
            starting_deadline: Duration::from_mins(10),
            catch_up: CatchUp::Skip,
            overlap: Overlap::Skip,
            blackouts: Vec::new(),
            suspended: false,
        }
    }

    fn at(hour: &str) -> Timestamp {
        format!("2026-05-01T{hour}:00Z").parse().unwrap()
    }

    fn planned(
        schedule: &Schedule,
        since: &str,
        now: &str,
    ) -> (Vec<(String, Reason)>, Option<Timestamp>) {
        let plan = plan(schedule, "shop", at(since), at(now));
        assert!(plan.next.is_some_and(|next| next.starts_at > at(now)));
        let passed = plan.passed.iter();
        let passed =
            passed.map(|one| (one.scheduled_for.to_string()[11..16].to_owned(), one.reason));
        (passed.collect(), plan.due.map(|due| due.scheduled_for))
    }

    #[test]
    fn starts_what_is_due_and_notes_what_was_missed() {
        let schedule = hourly();
        assert_eq!(planned(&schedule, "03:00", "03:59"), (vec![], None));
        assert_eq!(
            planned(&schedule, "03:00", "04:00"),
            (vec![], Some(at("04:00")))
        );
        assert_eq!(
            planned(&schedule, "03:00", "04:10"),
            (vec![], Some(at("04:00")))
        );
        let missed = |hour: &str| (hour.to_owned(), Reason::Missed);
        assert_eq!(
            planned(&schedule, "03:00", "04:11"),
            (vec![missed("04:00")], None)
        );
        assert_eq!(
            planned(&schedule, "03:00", "06:05"),
            (vec![missed("04:00"), missed("05:00")], Some(at("06:00")))
        );
    }

    #[test]
    fn catches_up_with_the_newest_alone() {
        let schedule = Schedule {
            catch_up: CatchUp::Once,
            ..hourly()
        };
        let missed = |hour: &str| (hour.to_owned(), Reason::Missed);
        assert_eq!(
            planned(&schedule, "03:00", "06:55"),
            (vec![missed("04:00"), missed("05:00")], Some(at("06:00")))
        );
    }

    #[test]
    fn a_blackout_counts_at_the_start_and_not_at_the_fire_time() {
        let dark = Blackout::Weekly(Recurring {
            days: Vec::new(),
            from: time(4, 0, 0, 0),
            to: time(4, 1, 0, 0),
        });
        let mut schedule = Schedule {
            blackouts: vec![dark],
            ..hourly()
        };
        let blackout = ("04:00".to_owned(), Reason::Blackout);
        assert_eq!(planned(&schedule, "03:00", "04:05"), (vec![blackout], None));
        schedule.start_window = Duration::from_mins(50);
        schedule.starting_deadline = Duration::from_hours(1);
        let (passed, due) = planned(&schedule, "03:00", "04:59");
        assert_eq!((passed, due), (vec![], Some(at("04:00"))));
        schedule.suspended = true;
        let suspended = ("04:00".to_owned(), Reason::Suspended);
        assert_eq!(
            planned(&schedule, "03:00", "04:59"),
            (vec![suspended], None)
        );
    }

    #[test]
    fn tells_the_newest_of_very_many() {
        let mut schedule = hourly();
        schedule.trigger = at_times("* * * * *");
        let now = at("04:00") + Duration::from_hours(48);
        let plan = plan(&schedule, "shop", at("03:59"), now);
        assert_eq!(plan.due.map(|due| due.scheduled_for), Some(now));
        assert_eq!((plan.passed.len(), plan.older), (100, 2_780));
    }
}
