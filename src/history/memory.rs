//! A history in memory, for tests.

mod agenda;
mod files;
mod known;
mod outbox;
mod replicas;
mod requests;
mod tallies;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Filter, Queries, Replicas, Roots, files::Said};
use crate::{
    domain::{
        budget::{Demand, Share, Taken},
        ids::RunId,
        journal::Entry,
        record::RunRecord,
        resource::ClusterRef,
        summary::RunSummary,
    },
    runner::store::{Claim, Gone, Owner, RunStore, StoreError, TakenOver, Unfinished, Write},
};

/// Keeps runs until it is dropped.
#[derive(Debug, Default)]
pub struct MemoryHistory {
    runs: Mutex<Vec<Unfinished>>,
    roots: Mutex<BTreeSet<PathBuf>>,
    clusters: Mutex<BTreeSet<ClusterRef>>,
    schedules: Mutex<agenda::Schedules>,
    /// When verdicts were drawn.
    concluded: Mutex<BTreeMap<RunId, Timestamp>>,
    tallies: Mutex<tallies::Counted>,
    known: Mutex<BTreeMap<String, Timestamp>>,
    files: Mutex<BTreeMap<PathBuf, Said>>,
    shares: Mutex<BTreeMap<RunId, Vec<Share>>>,
    processes: Mutex<replicas::Processes>,
    installation: Mutex<Option<String>>,
    notices: Mutex<outbox::Notices>,
    requests: Mutex<Vec<super::requests::Wanted>>,
}

impl MemoryHistory {
    fn runs(&self) -> MutexGuard<'_, Vec<Unfinished>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What stands in the way of a run.
    fn is_free(&self, record: &RunRecord) -> Result<(), StoreError> {
        let runs = self.runs();
        if let Some(scheduled_for) = record.scheduled_for {
            let drill = record.drill.clone();
            let key = (drill.clone(), scheduled_for);
            if self.schedules().fires.contains_key(&key) {
                return Err(StoreError::Fired {
                    drill,
                    scheduled_for,
                });
            }
        }
        let same_request = |run: &&Unfinished| {
            record.request_key.is_some() && run.record.request_key == record.request_key
        };
        if let Some(other) = runs.iter().find(same_request) {
            let run = other.record.id;
            return Err(StoreError::Requested { run });
        }
        let live =
            |run: &&Unfinished| run.record.drill == record.drill && run.record.verdict.is_none();
        match runs.iter().find(live) {
            Some(other) => Err(StoreError::Busy {
                drill: record.drill.clone(),
                run: other.record.id,
                owner: other.owner.clone(),
            }),
            None => Ok(()),
        }
    }

    fn has_room(&self, demand: &Demand) -> Result<(), StoreError> {
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Taken::default();
        let runs = self.runs();
        for run in runs.iter().filter(|run| run.record.takes_room()) {
            taken.take(shares.get(&run.record.id).map_or(&[], Vec::as_slice));
        }
        match taken.full(demand.limits, &demand.shares) {
            Some(limit) => Err(StoreError::NoRoom { limit }),
            None => Ok(()),
        }
    }
}

fn finished(run: &Unfinished) -> bool {
    run.journal.contains(&Entry::Finished)
}

#[async_trait]
impl RunStore for MemoryHistory {
    async fn begin(
        &self,
        record: &RunRecord,
        owner: &Owner,
        demand: &Demand,
    ) -> Result<Claim, StoreError> {
        if self.is_begun(record) {
            return Err(StoreError::Requested { run: record.id });
        }
        self.is_free(record)?;
        self.has_room(demand)?;
        if !self.fulfilled(record.id) && demand.promised {
            return Err(StoreError::Cancelled);
        }
        self.fired(record);
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.insert(record.id, demand.shares.clone());
        let mut runs = self.runs();
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
        at: Timestamp,
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
                Write::Record(record) => {
                    run.record = (*record).clone();
                    if record.verdict.is_some() {
                        let concluded = self.concluded.lock();
                        let mut concluded = concluded.unwrap_or_else(PoisonError::into_inner);
                        self.count(record, *concluded.entry(record.id).or_insert(at));
                    }
                }
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
        gone: Gone,
    ) -> Result<Option<TakenOver>, StoreError> {
        let alive = self.alive().await?;
        let mut runs = self.runs();
        let spoke = |run: &Unfinished| gone == Gone::Silent && alive.contains(&run.owner);
        let found = runs
            .iter_mut()
            .find(|r| r.record.id == run && r.epoch == epoch && !finished(r) && !spoke(r));
        Ok(found.map(|found| {
            found.epoch += 1;
            found.owner = owner.clone();
            let claim = Claim {
                run,
                epoch: found.epoch,
            };
            TakenOver::new(claim, found.clone())
        }))
    }

    async fn open(&self) -> Result<Vec<RunId>, StoreError> {
        let runs = self.runs();
        let open = runs.iter().filter(|run| !finished(run));
        Ok(open.map(|run| run.record.id).collect())
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
                let place = (record.requested_at, record.id);
                filter.fits(record)
                    && filter
                        .after
                        .is_none_or(|after| place < (after.requested_at, after.id))
            })
            .collect();
        records.sort_by_key(|record| std::cmp::Reverse((record.requested_at, record.id)));
        records.truncate(filter.limit.map_or(usize::MAX, |limit| limit as usize));
        Ok(records)
    }

    async fn summaries(&self, filter: &Filter) -> Result<Vec<RunSummary>, StoreError> {
        let records = self.list(filter).await?;
        Ok(records.iter().map(RunSummary::from).collect())
    }

    async fn concluded(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Timestamp, RunRecord)>, StoreError> {
        let concluded = self
            .concluded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = self
            .runs()
            .iter()
            .filter_map(|run| Some((*concluded.get(&run.record.id)?, run.record.clone())))
            .filter(|(at, _)| *at >= since)
            .collect();
        found.sort_by_key(|(at, record)| (*at, record.id));
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn find(&self, text: &str) -> Result<Vec<RunRecord>, StoreError> {
        let runs = self.runs();
        let named = runs.iter().filter(|run| {
            let id = run.record.id.to_string();
            id.starts_with(text) || id.ends_with(text)
        });
        Ok(named.map(|run| run.record.clone()).take(2).collect())
    }

    async fn requested(&self, key: &str) -> Result<Option<RunRecord>, StoreError> {
        let runs = self.runs();
        let mut records = runs.iter().map(|run| &run.record);
        let found = records.find(|record| record.request_key.as_deref() == Some(key));
        Ok(found.cloned())
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

    async fn installation(&self, otherwise: &str) -> Result<String, StoreError> {
        let mut name = self
            .installation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(name.get_or_insert_with(|| otherwise.to_owned()).clone())
    }
}
