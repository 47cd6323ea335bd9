//! Who is alive, who is to end what, and what is forgotten.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{MemoryHistory, finished};
use crate::{
    clock::{Clock, SystemClock},
    domain::{ids::RunId, record::RunRecord, verdict::Verdict},
    history::{
        replicas::Replicas,
        retention::{Forgotten, Retention},
    },
    runner::{
        cancel::Why,
        store::{Owner, StoreError, Unfinished},
    },
};

#[derive(Debug, Default)]
pub(super) struct Processes {
    clock: SystemClock,
    /// Until when each counts as alive; `None` once it has left.
    alive: Vec<(Owner, Option<Duration>)>,
    to_end: BTreeMap<RunId, Why>,
}

impl Processes {
    fn alive(&self) -> Vec<Owner> {
        let now = self.clock.monotonic();
        let of = |until: &Option<Duration>| until.is_some_and(|until| until >= now);
        let found = self.alive.iter().filter(|(_, until)| of(until));
        found.map(|(owner, _)| owner.clone()).collect()
    }

    fn set(&mut self, owner: &Owner, until: Option<Duration>) {
        self.alive.retain(|(other, _)| other != owner);
        self.alive.push((owner.clone(), until));
    }
}

impl MemoryHistory {
    fn processes(&self) -> MutexGuard<'_, Processes> {
        let processes = self.processes.lock();
        processes.unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Replicas for MemoryHistory {
    async fn beat(&self, owner: &Owner, lasts: Duration) -> Result<Timestamp, StoreError> {
        let mut processes = self.processes();
        let until = processes.clock.monotonic() + lasts;
        processes.set(owner, Some(until));
        Ok(processes.clock.now())
    }

    async fn leave(&self, owner: &Owner) -> Result<(), StoreError> {
        self.processes().set(owner, None);
        Ok(())
    }

    async fn orphaned(&self) -> Result<bool, StoreError> {
        let alive = self.alive().await?;
        let runs = self.runs();
        let mut unfinished = runs.iter().filter(|run| !finished(run));
        Ok(unfinished.any(|run| !alive.contains(&run.owner)))
    }

    async fn alive(&self) -> Result<Vec<Owner>, StoreError> {
        Ok(self.processes().alive())
    }

    async fn ask_to_end(&self, run: RunId, why: Why) -> Result<bool, StoreError> {
        let live = |one: &Unfinished| {
            let record = &one.record;
            let may = why == Why::Asked || record.scheduled_for.is_some();
            record.id == run && record.verdict.is_none() && may
        };
        let goes_on = self.runs().iter().any(live);
        if goes_on {
            self.processes().to_end.entry(run).or_insert(why);
        }
        Ok(goes_on)
    }

    async fn asked_to_end(&self, owner: &Owner) -> Result<Vec<(RunId, Why)>, StoreError> {
        let runs = self.runs();
        let processes = self.processes();
        let theirs = runs.iter().filter(|run| run.owner == *owner);
        let going_on = theirs.filter(|run| run.record.verdict.is_none());
        let asked = going_on.filter_map(|run| processes.to_end.get_key_value(&run.record.id));
        Ok(asked.map(|(run, why)| (*run, *why)).collect())
    }
}

#[async_trait]
impl Retention for MemoryHistory {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.processes().clock.now())
    }

    async fn forget(&self, before: Timestamp, limit: u32) -> Result<Forgotten, StoreError> {
        let mut runs = self.runs();
        let newer_than = |old: &RunRecord, new: &RunRecord| {
            new.drill == old.drill && (new.requested_at, new.id) > (old.requested_at, old.id)
        };
        let proves = |record: &RunRecord| {
            record.verdict == Some(Verdict::Passed) && !record.negative_control
        };
        let is_old = |run: &&Unfinished| {
            let old = &run.record;
            let newer = || runs.iter().filter(|new| newer_than(old, &new.record));
            old.requested_at < before
                && finished(run)
                && newer().next().is_some()
                && (!proves(old) || newer().any(|new| proves(&new.record)))
        };
        let mut old: Vec<_> = runs.iter().filter(is_old).map(|run| &run.record).collect();
        old.sort_by_key(|record| (record.requested_at, record.id));
        let old: Vec<_> = old.iter().take(limit as usize).map(|old| old.id).collect();
        runs.retain(|run| !old.contains(&run.record.id));
        let mut schedules = self.schedules();
        for fire in schedules.fires.values_mut() {
            fire.outcome.forget(&old);
        }
        let mut fires: Vec<_> = schedules
            .fires
            .iter()
            .filter(|((_, at), fire)| *at < before && fire.outcome.run().is_none())
            .map(|((drill, at), _)| (*at, drill.clone()))
            .collect();
        fires.sort();
        fires.truncate(limit as usize);
        for (at, drill) in &fires {
            schedules.fires.remove(&(drill.clone(), *at));
        }
        self.forget_periods(before);
        Ok(Forgotten {
            runs: old.len(),
            fires: fires.len(),
        })
    }
}
