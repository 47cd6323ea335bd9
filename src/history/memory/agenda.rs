//! Fire times.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryHistory;
use crate::{
    domain::{ids::DrillName, record::RunRecord},
    history::{
        Period,
        agenda::{Agenda, Fire, FireFilter, Outcome, Passed, Settlement, is_ahead},
    },
    runner::store::StoreError,
    schedule::Reason,
};

#[derive(Debug, Default)]
pub(super) struct Schedules {
    settled: BTreeMap<String, Timestamp>,
    calendars: BTreeMap<String, String>,
    pub(super) fires: BTreeMap<(String, Timestamp), Fire>,
    /// When it was noted what became of fire times that passed.
    noted: BTreeMap<(String, Timestamp), Timestamp>,
}

impl Schedules {
    fn move_on(&mut self, drill: &str, until: Timestamp) {
        let settled = self.settled.entry(drill.to_owned()).or_insert(until);
        *settled = until.max(*settled);
    }
}

impl MemoryHistory {
    pub(super) fn schedules(&self) -> MutexGuard<'_, Schedules> {
        self.schedules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a run is that of its fire time.
    pub(super) fn fired(&self, record: &RunRecord) {
        let Some(scheduled_for) = record.scheduled_for else {
            return;
        };
        let fire = Fire {
            drill: record.drill.clone(),
            scheduled_for,
            outcome: Outcome::Started {
                run: Some(record.id),
            },
            older: 0,
        };
        let mut schedules = self.schedules();
        let key = (record.drill.clone(), scheduled_for);
        schedules.fires.insert(key, fire);
        schedules.move_on(&record.drill, scheduled_for);
    }
}

#[async_trait]
impl Agenda for MemoryHistory {
    async fn settled(
        &self,
        drills: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let mut schedules = self.schedules();
        let mut all = BTreeMap::new();
        for (drill, calendar) in drills {
            let before = schedules.calendars.insert(drill.clone(), calendar.clone());
            if before.as_ref() != Some(calendar) {
                schedules.move_on(drill, now);
            }
            // It has no clock of its own.
            let at = schedules.settled.get(drill).copied();
            let at = at.map(|at| if is_ahead(at, now) { now } else { at });
            all.extend(at.map(|at| (drill.clone(), at)));
        }
        Ok(all)
    }

    async fn is_still_to_come(
        &self,
        drills: &[DrillName],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let missed = Outcome::Passed {
            reason: Reason::Missed,
        };
        let of = |name: &String| drills.iter().any(|drill| drill.as_str() == name);
        self.schedules().fires.retain(|(drill, at), fire| {
            fire.outcome != missed || !is_ahead(*at, now) || !of(drill)
        });
        Ok(())
    }

    async fn reached(&self, drill: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.schedules().settled.get(drill).copied())
    }

    async fn settle(&self, settlements: &[Settlement], now: Timestamp) -> Result<(), StoreError> {
        let mut schedules = self.schedules();
        for one in settlements {
            let mut older = one.older;
            for missed in &one.passed {
                let drill = one.drill.to_string();
                let key = (drill.clone(), missed.scheduled_for);
                schedules.noted.entry(key.clone()).or_insert(now);
                schedules.fires.entry(key).or_insert_with(|| Fire {
                    drill,
                    scheduled_for: missed.scheduled_for,
                    outcome: Outcome::Passed {
                        reason: missed.reason,
                    },
                    older: std::mem::take(&mut older),
                });
            }
            schedules.move_on(one.drill.as_str(), one.until);
        }
        Ok(())
    }

    async fn fires(&self, filter: &FireFilter) -> Result<Vec<Fire>, StoreError> {
        let schedules = self.schedules();
        let after = |fire: &Fire| {
            let (at, drill) = filter.after.as_ref()?;
            Some((fire.scheduled_for, drill) < (*at, &fire.drill))
        };
        let wanted = |fire: &&Fire| filter.fits(fire) && after(fire).unwrap_or(true);
        let mut fires: Vec<_> = schedules.fires.values().filter(wanted).cloned().collect();
        fires.sort_by(|a, b| (b.scheduled_for, &a.drill).cmp(&(a.scheduled_for, &b.drill)));
        fires.truncate(filter.limit as usize);
        Ok(fires)
    }

    async fn passed(&self, period: Period) -> Result<Vec<Passed>, StoreError> {
        let schedules = self.schedules();
        let mut all = BTreeMap::new();
        for (key, fire) in &schedules.fires {
            let noted = schedules.noted.get(key);
            let Outcome::Passed { reason } = fire.outcome else {
                continue;
            };
            if noted.is_some_and(|at| period.holds(*at)) {
                let of = (fire.drill.clone(), reason.name());
                all.entry(of).or_insert((reason, 0)).1 += fire.older + 1;
            }
        }
        let passed = all.into_iter();
        let passed = passed.map(|((drill, _), (reason, fire_times))| Passed {
            drill,
            reason,
            fire_times,
        });
        Ok(passed.collect())
    }
}
