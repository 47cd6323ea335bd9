//! Runs whose processes are gone, and whose copies go on by themselves: a service
//! takes them up.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::App;
use crate::{
    domain::{event::Listener, ids::RunId, journal::RunState, record::RunRecord},
    runner::{
        cancel::Cancel,
        revive::Revival,
        store::{Gone, Owner, StoreError, Unfinished},
    },
    service::{Heir, Orphan},
    spec::drill::Drill,
};

/// Whoever takes a run up may die of it.
const MOST_OWNERS: i64 = 5;

fn can_be_taken_up(run: &Unfinished) -> bool {
    let state = RunState::replay(&run.journal);
    run.epoch < MOST_OWNERS && state.is_ok_and(|state| state.goes_on().is_some())
}

/// When to ask again where a run cannot be taken up yet.
const AGAIN: Duration = Duration::from_secs(1);

/// How a run may be ended early.
pub(super) struct Ends {
    /// Everything is given back.
    pub cancel: Cancel,
    /// Its copy is left to the service that comes next.
    pub park: CancellationToken,
}

impl App {
    /// Whether an unfinished run is to be ended by a sweep, and how it is known that
    /// nobody works on it; not where a service takes it up. `refused` are those that
    /// it has no drill for.
    pub(super) fn is_to_be_ended(
        &self,
        run: &Unfinished,
        others: Option<&[Owner]>,
        refused: &HashSet<RunId>,
    ) -> Option<Gone> {
        let kept = || self.serving && !refused.contains(&run.record.id) && can_be_taken_up(run);
        self.has_given_up(run, others).filter(|_| !kept())
    }

    /// Gives the runs that can be taken up to this process's service, once it is
    /// there; gives those that it has no drill for.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub(super) async fn take_up_orphans(
        &self,
        others: Option<&[Owner]>,
    ) -> Result<HashSet<RunId>, StoreError> {
        let mut refused = HashSet::new();
        let Some(service) = self.service.get() else {
            return Ok(refused);
        };
        for run in self.history.unfinished().await? {
            let id = run.record.id;
            let gone = self.has_given_up(&run, others);
            let Some(gone) = gone.filter(|_| can_be_taken_up(&run)) else {
                continue;
            };
            let run = Box::new(run);
            match service.take_up(Orphan { run, gone }).await {
                // Of a service that has stopped another one is the heir.
                Ok(Heir::Here) | Err(_) => {}
                Ok(Heir::Later) => self.sweep_soon(),
                Ok(Heir::Nobody) => {
                    refused.insert(id);
                }
            }
        }
        Ok(refused)
    }

    /// What could not be done now is tried again, but not at once.
    pub(super) fn sweep_soon(&self) {
        let to_sweep = self.to_sweep.clone();
        tokio::spawn(async move {
            tokio::time::sleep(AGAIN).await;
            to_sweep.notify_one();
        });
    }

    /// Takes over a run of a process that is gone, and brings it to its end.
    /// `None` if another process was faster.
    ///
    /// # Errors
    /// As the history says.
    pub(super) async fn take_up(
        &self,
        drill: &Drill,
        orphan: Orphan,
        listeners: Vec<Arc<dyn Listener>>,
        Ends { cancel, park }: Ends,
    ) -> Result<Option<RunRecord>, StoreError> {
        let Orphan { run, gone } = orphan;
        let id = run.record.id;
        let _live = self.live.add(id, cancel.clone());
        let revival = Revival {
            drill,
            engine: self.engine(drill, id, &[]),
            cancel,
            park,
        };
        let runner = self.runner(self.anywhere());
        let taken = runner
            .take_up(*run, gone, &listeners, Some(revival))
            .await?;
        if let Some(record) = &taken {
            self.traces.export(record);
        }
        Ok(taken)
    }
}
