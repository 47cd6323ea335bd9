//! Who is still to be told of a run's end.

use std::{collections::BTreeMap, sync::PoisonError, time::Duration};

use async_trait::async_trait;

use super::MemoryHistory;
use crate::{
    clock::{Clock, SystemClock},
    domain::ids::RunId,
    history::outbox::{Notice, Outbox},
    runner::store::StoreError,
};

#[derive(Debug, Default)]
pub(super) struct Notices {
    clock: SystemClock,
    /// When each is due, and how often it was tried.
    all: BTreeMap<(RunId, String), (Option<Duration>, u32)>,
}

#[async_trait]
impl Outbox for MemoryHistory {
    async fn post(&self, run: RunId, target: &str) -> Result<(), StoreError> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let now = notices.clock.monotonic();
        let key = (run, target.to_owned());
        notices.all.entry(key).or_insert((Some(now), 0));
        Ok(())
    }

    async fn take(&self, lease: Duration, limit: u32) -> Result<Vec<Notice>, StoreError> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let now = notices.clock.monotonic();
        let due = notices
            .all
            .iter_mut()
            .filter(|(_, (due, _))| due.is_some_and(|due| due <= now));
        let taken = due.take(limit as usize).map(|((run, target), state)| {
            *state = (Some(now + lease), state.1 + 1);
            Notice {
                run: *run,
                target: target.clone(),
                tries: state.1,
            }
        });
        Ok(taken.collect())
    }

    async fn put_off(&self, notice: &Notice, by: Option<Duration>) -> Result<(), StoreError> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let until = by.map(|by| notices.clock.monotonic() + by);
        let key = (notice.run, notice.target.clone());
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
