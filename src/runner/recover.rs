//! Brings the runs of dead processes to their end.
//!
//! The race this guards against: two processes start after a crash, both see
//! the same unfinished run, and both take it over. `take_over` raises the
//! run's epoch only if it still is what was read, so one of them gets the
//! claim; and a process that was believed dead but only slept finds its own
//! claim lost at its next write, before its next effect. What both might
//! still do twice is a release, and every release may be repeated.

use std::sync::Arc;

use super::{
    context::Recorder,
    execute::{Passage, Runner},
    store::{Gone, StoreError, Unfinished, Write},
};
use crate::domain::{
    event::Listener,
    journal::{Entry, RunState},
    record::RunRecord,
    resource::Resource,
    verdict::Cleanup,
};

impl Runner {
    /// Takes over every run whose process is gone or has given it up, as
    /// `is_gone` judges, and releases what it held. Gives the records as they stand then.
    ///
    /// # Errors
    /// If the history cannot be read or written.
    pub async fn recover(
        &self,
        is_gone: impl Fn(&Unfinished) -> Option<Gone>,
        listeners: &[Arc<dyn Listener>],
    ) -> Result<Vec<RunRecord>, StoreError> {
        let mut recovered = Vec::new();
        for run in self.store.unfinished().await? {
            // A run of ours that rests because something is stuck is taken up
            // again, too.
            let Some(gone) = is_gone(&run) else {
                continue;
            };
            let id = run.record.id;
            match self.take_up(run, gone, listeners).await {
                Ok(record) => recovered.extend(record),
                // One that cannot be ended does not keep the others.
                Err(error @ (StoreError::ClaimLost { .. } | StoreError::Inconsistent { .. })) => {
                    tracing::error!(run = %id, %error, "a run cannot be ended");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(recovered)
    }

    async fn take_up(
        &self,
        run: Unfinished,
        gone: Gone,
        listeners: &[Arc<dyn Listener>],
    ) -> Result<Option<RunRecord>, StoreError> {
        let id = run.record.id;
        let Some(claim) = self
            .store
            .take_over(id, run.epoch, &self.owner, gone)
            .await?
        else {
            return Ok(None);
        };
        self.hook.reached("taken over");
        let state = RunState::replay(&run.journal).map_err(|error| StoreError::Inconsistent {
            run: id.to_string(),
            what: error.to_string(),
        })?;
        let directory =
            |(_, resource): &(_, Resource)| matches!(resource, Resource::Directory { .. });
        let far = self.shared && run.owner.host != self.owner.host;
        let elsewhere = (far && run.ledger.iter().any(directory)).then_some(run.owner.host);
        let mut record = run.record;
        if let Cleanup::Leaked { .. } = record.cleanup {
            record.cleanup = Cleanup::Pending;
        }
        let recorder = Recorder::new(record, self.clock.clone(), listeners.to_vec());
        let mut passage = Passage {
            runner: self,
            claim,
            recorder: Arc::new(recorder),
            state,
            ledger: run.ledger,
            forward: None,
            elsewhere,
        };
        if let Some(host) = &passage.elsewhere {
            let note = format!("its directories were on {host}, and were not looked at");
            passage.recorder.update(|record| record.notes.push(note));
        }
        let record = passage.recorder.snapshot();
        let writes = [Write::Entry(&Entry::Interrupted), Write::Record(&record)];
        passage.write(&writes).await?;
        passage.advance(&Entry::Interrupted)?;
        passage.go_on().await.map(Some)
    }
}
