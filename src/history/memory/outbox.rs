//! Who is still to be told of a run's end.

use std::{collections::BTreeMap, sync::PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryHistory;
use crate::{
    domain::ids::RunId,
    history::outbox::{Notice, Outbox},
    runner::store::StoreError,
};

/// When each is due, and how often it was tried.
pub(super) type Notices = BTreeMap<(RunId, String), (Option<Timestamp>, u32)>;

#[async_trait]
impl Outbox for MemoryHistory {
    async fn post(&self, run: RunId, target: &str, at: Timestamp) -> Result<(), StoreError> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (run, target.to_owned());
        notices.entry(key).or_insert((Some(at), 0));
        Ok(())
    }

    async fn take(
        &self,
        now: Timestamp,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<Notice>, StoreError> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let due = notices
            .iter_mut()
            .filter(|(_, (due, _))| due.is_some_and(|due| due <= now));
        let taken = due.take(limit as usize).map(|((run, target), state)| {
            *state = (Some(again), state.1 + 1);
            Notice {
                run: *run,
                target: target.clone(),
                tries: state.1,
            }
        });
        Ok(taken.collect())
    }

    async fn put_off(&self, notice: &Notice, until: Option<Timestamp>) -> Result<(), StoreError> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = notices.get_mut(&(notice.run, notice.target.clone())) {
            state.0 = until;
        }
        Ok(())
    }
}
