//! Who is still to be told of a run's end, or of what happened in a period.

use std::{collections::BTreeMap, sync::PoisonError, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryHistory;
use crate::{
    clock::{Clock, SystemClock},
    history::outbox::{Notice, Outbox, Subject},
    runner::store::StoreError,
};

#[derive(Debug, Default)]
pub(super) struct Notices {
    clock: SystemClock,
    /// When each is due, and how often it was tried.
    all: BTreeMap<(Subject, String), (Option<Duration>, u32)>,
}

impl MemoryHistory {
    /// Forgets notices of periods before `before`, but for the newest of each
    /// target.
    pub(super) fn forget_periods(&self, before: Timestamp) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let until = |subject: &Subject| match subject {
            Subject::Period(period) => Some(period.until),
            Subject::Run(_) => None,
        };
        let mut newest = BTreeMap::new();
        for (subject, target) in notices.all.keys() {
            let known = newest.entry(target.clone()).or_insert(None);
            *known = until(subject).max(*known);
        }
        notices.all.retain(|(subject, target), _| {
            let until = until(subject);
            until.is_none_or(|until| until >= before) || newest.get(target) == Some(&until)
        });
    }
}

#[async_trait]
impl Outbox for MemoryHistory {
    async fn post(&self, subject: Subject, target: &str, wait: Duration) -> Result<(), StoreError> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let due = notices.clock.monotonic() + wait;
        let key = (subject, target.to_owned());
        notices.all.entry(key).or_insert((Some(due), 0));
        Ok(())
    }

    async fn take(&self, lease: Duration, limit: u32) -> Result<Vec<Notice>, StoreError> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let now = notices.clock.monotonic();
        let due = notices
            .all
            .iter_mut()
            .filter(|(_, (due, _))| due.is_some_and(|due| due <= now));
        let taken = due.take(limit as usize).map(|((subject, target), state)| {
            *state = (Some(now + lease), state.1 + 1);
            Notice {
                subject: *subject,
                target: target.clone(),
                tries: state.1,
            }
        });
        Ok(taken.collect())
    }

    async fn put_off(&self, notice: &Notice, by: Option<Duration>) -> Result<(), StoreError> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let until = by.map(|by| notices.clock.monotonic() + by);
        let key = (notice.subject, notice.target.clone());
        if let Some(state) = notices
            .all
            .get_mut(&key)
            .filter(|(_, tries)| *tries == notice.tries)
        {
            state.0 = until;
        }
        Ok(())
    }
}
