//! Runs that are wanted.

use std::{collections::HashSet, sync::PoisonError, time::Duration};

use async_trait::async_trait;

use super::MemoryHistory;
use crate::{
    domain::{ids::RunId, record::RunRecord},
    history::requests::{Requests, Wanted},
    runner::store::StoreError,
};

#[async_trait]
impl Requests for MemoryHistory {
    async fn ask(&self, wanted: &Wanted) -> Result<(RunId, String), StoreError> {
        let same = |key: &Option<String>| key.is_some() && *key == wanted.key;
        let runs = self.runs();
        if let Some(run) = runs.iter().find(|run| same(&run.record.request_key)) {
            return Ok((run.record.id, run.record.drill.clone()));
        }
        let mut requests = self.wanted();
        if let Some(other) = requests.iter().find(|other| same(&other.key)) {
            return Ok((other.run, other.drill.to_string()));
        }
        if requests.iter().all(|other| other.run != wanted.run) {
            requests.push(wanted.clone());
        }
        Ok((wanted.run, wanted.drill.to_string()))
    }

    async fn asked(
        &self,
        ago: Duration,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<Wanted>, StoreError> {
        // No time passes here: all are new.
        let mut all = self.wanted().clone();
        all.retain(|one| ago.is_zero() && after.is_none_or(|after| one.run > after));
        all.sort_by_key(|one| one.run);
        all.truncate(limit as usize);
        Ok(all)
    }

    async fn request_of(&self, run: RunId) -> Result<Option<Wanted>, StoreError> {
        let requests = self.wanted();
        Ok(requests.iter().find(|wanted| wanted.run == run).cloned())
    }

    async fn is_over(&self, run: RunId) -> Result<bool, StoreError> {
        let runs = self.runs();
        let mut over = runs.iter().map(|run| &run.record);
        Ok(over.any(|record| record.id == run && record.finished_at.is_some()))
    }

    async fn holding(&self, runs: &[RunId]) -> Result<HashSet<RunId>, StoreError> {
        let all = self.runs();
        let holding = all.iter().map(|run| &run.record);
        let holding = holding.filter(|record| record.takes_room());
        let ids = holding.map(|record| record.id);
        Ok(ids.filter(|id| runs.contains(id)).collect())
    }

    async fn withdraw(&self, run: RunId) -> Result<bool, StoreError> {
        Ok(self.fulfilled(run))
    }
}

impl MemoryHistory {
    /// A run is wanted no more; gives whether it was.
    pub(super) fn fulfilled(&self, run: RunId) -> bool {
        let mut requests = self.wanted();
        let before = requests.len();
        requests.retain(|wanted| wanted.run != run);
        requests.len() < before
    }

    /// Whether a run that was asked for has begun already.
    pub(super) fn is_begun(&self, record: &RunRecord) -> bool {
        self.runs().iter().any(|run| run.record.id == record.id)
    }

    fn wanted(&self) -> std::sync::MutexGuard<'_, Vec<Wanted>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
