//! A history in memory, for tests.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Filter, Queries, Roots};
use crate::{
    domain::{ids::RunId, journal::Entry, record::RunRecord, resource::ClusterRef},
    runner::store::{Claim, Owner, RunStore, StoreError, Unfinished, Write},
};

/// Keeps runs until it is dropped.
#[derive(Debug, Default)]
pub struct MemoryHistory {
    runs: Mutex<Vec<Unfinished>>,
    roots: Mutex<BTreeSet<PathBuf>>,
    clusters: Mutex<BTreeSet<ClusterRef>>,
}

impl MemoryHistory {
    fn runs(&self) -> MutexGuard<'_, Vec<Unfinished>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn finished(run: &Unfinished) -> bool {
    run.journal.contains(&Entry::Finished)
}

#[async_trait]
impl RunStore for MemoryHistory {
    async fn begin(&self, record: &RunRecord, owner: &Owner) -> Result<Claim, StoreError> {
        let mut runs = self.runs();
        let live =
            |run: &&Unfinished| run.record.drill == record.drill && run.record.verdict.is_none();
        if let Some(other) = runs.iter().find(live) {
            return Err(StoreError::Busy {
                drill: record.drill.clone(),
                run: other.record.id,
                owner: other.owner.clone(),
            });
        }
        runs.push(Unfinished {
            record: record.clone(),
            owner: owner.clone(),
            epoch: 1,
            journal: Vec::new(),
            ledger: Vec::new(),
        });
        Ok(Claim {
            run: record.id,
            epoch: 1,
        })
    }

    async fn write(
        &self,
        claim: &Claim,
        _at: Timestamp,
        writes: &[Write<'_>],
    ) -> Result<(), StoreError> {
        let mut runs = self.runs();
        let held = |run: &&mut Unfinished| run.record.id == claim.run && run.epoch == claim.epoch;
        let Some(run) = runs.iter_mut().find(held) else {
            return Err(StoreError::ClaimLost { run: claim.run });
        };
        for write in writes {
            match write {
                Write::Entry(entry) => run.journal.push((*entry).clone()),
                Write::Intend(acquired, resource) => {
                    run.ledger.push((*acquired, (*resource).clone()));
                }
                Write::Identify(acquired, old, new) => {
                    for line in &mut run.ledger {
                        if line.0 == *acquired && line.1 == **old {
                            line.1 = (*new).clone();
                        }
                    }
                }
                Write::Strike(acquired) => run.ledger.retain(|(of, _)| of != acquired),
                Write::Record(record) => run.record = (*record).clone(),
            }
        }
        Ok(())
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        Ok(self
            .runs()
            .iter()
            .filter(|run| !finished(run))
            .cloned()
            .collect())
    }

    async fn take_over(
        &self,
        run: RunId,
        epoch: i64,
        owner: &Owner,
    ) -> Result<Option<Claim>, StoreError> {
        let mut runs = self.runs();
        let found = runs
            .iter_mut()
            .find(|r| r.record.id == run && r.epoch == epoch && !finished(r));
        Ok(found.map(|found| {
            found.epoch += 1;
            found.owner = owner.clone();
            Claim {
                run,
                epoch: found.epoch,
            }
        }))
    }
}

#[async_trait]
impl Queries for MemoryHistory {
    async fn list(&self, filter: &Filter) -> Result<Vec<RunRecord>, StoreError> {
        let mut records: Vec<RunRecord> = self
            .runs()
            .iter()
            .map(|run| run.record.clone())
            .filter(|record| {
                filter
                    .drill
                    .as_ref()
                    .is_none_or(|drill| *drill == record.drill)
            })
            .collect();
        records.sort_by_key(|record| std::cmp::Reverse((record.requested_at, record.id)));
        records.truncate(filter.limit.map_or(usize::MAX, |limit| limit as usize));
        Ok(records)
    }

    async fn find(&self, text: &str) -> Result<Vec<RunRecord>, StoreError> {
        let runs = self.runs();
        let named = runs.iter().filter(|run| {
            let id = run.record.id.to_string();
            id.starts_with(text) || id.ends_with(text)
        });
        Ok(named.map(|run| run.record.clone()).take(2).collect())
    }
}

#[async_trait]
impl Roots for MemoryHistory {
    async fn remember_root(&self, root: &Path, _at: Timestamp) -> Result<(), StoreError> {
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        roots.insert(root.to_owned());
        Ok(())
    }

    async fn roots(&self) -> Result<Vec<PathBuf>, StoreError> {
        let roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(roots.iter().cloned().collect())
    }

    async fn remember_cluster(
        &self,
        cluster: &ClusterRef,
        _at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.insert(cluster.clone());
        Ok(())
    }

    async fn clusters(&self) -> Result<Vec<ClusterRef>, StoreError> {
        let clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(clusters.iter().cloned().collect())
    }
}
