//! Runs whose processes are gone, and whose copies go on by themselves: a service
//! takes them up.

use std::{collections::HashSet, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::App;
use crate::{
    domain::{event::Listener, ids::RunId, journal::RunState, record::RunRecord},
    runner::{
        revive::Revival,
        store::{Owner, StoreError, Unfinished},
    },
    service::Orphan,
    spec::drill::Drill,
};

/// Whoever takes a run up may die of it.
const MOST_OWNERS: i64 = 5;

fn can_be_taken_up(run: &Unfinished) -> bool {
    let state = RunState::replay(&run.journal);
    run.epoch < MOST_OWNERS && state.is_ok_and(|state| state.goes_on().is_some())
}

impl App {
    /// Gives the runs that can be taken up to this process's service; gives those
    /// that are not to be ended by a sweep.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub(super) async fn take_up_orphans(
        &self,
        others: Option<&[Owner]>,
    ) -> Result<HashSet<RunId>, StoreError> {
        let mut kept = HashSet::new();
        if !self.serving {
            return Ok(kept);
        }
        for run in self.history.unfinished().await? {
            let id = run.record.id;
            let gone = self.has_given_up(&run, others);
            let Some(gone) = gone.filter(|_| can_be_taken_up(&run)) else {
                continue;
            };
            let Some(service) = self.service.get() else {
                // It has just been started: soon there is somebody.
                kept.insert(id);
                continue;
            };
            let run = Box::new(run);
            // Of a service that has stopped another one will be the heir.
            if !matches!(service.take_up(Orphan { run, gone }).await, Ok(false)) {
                kept.insert(id);
            }
        }
        Ok(kept)
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
        cancel: CancellationToken,
    ) -> Result<Option<RunRecord>, StoreError> {
        let Orphan { run, gone } = orphan;
        let Unfinished { record, .. } = &*run;
        let _live = self.live.add(record.id, cancel.clone());
        let revival = Revival {
            drill,
            engine: self.engine(drill, record.id, &[]),
            cancel,
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
