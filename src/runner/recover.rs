//! Brings the runs of dead processes to their end.
//!
//! The race this guards against: two processes start after a crash, both see
//! the same unfinished run, and both take it over. `take_over` raises the
//! run's epoch only if it still is what was read, so one of them gets the
//! claim; and a process that was believed dead but only slept finds its own
//! claim lost at its next write, before its next effect. What both might
//! still do twice is a release, and every release may be repeated.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    cancel::Cancel,
    context::Recorder,
    execute::{Passage, Runner},
    revive::Revival,
    store::{Gone, Owner, StoreError, TakenOver, Unfinished, Write},
};
use crate::domain::{
    event::Listener,
    journal::{Entry, RunState},
    record::RunRecord,
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
            match self.take_up(run, gone, listeners, None).await {
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

    /// Takes over a run whose process is gone, and brings it to its end: by its
    /// copy, if that goes on by itself and `revival` says what it takes to hear it,
    /// else by releasing what it held. `None` if another process was faster.
    ///
    /// # Errors
    /// If the history cannot be read or written.
    pub async fn take_up(
        &self,
        run: Unfinished,
        gone: Gone,
        listeners: &[Arc<dyn Listener>],
        revival: Option<Revival<'_>>,
    ) -> Result<Option<RunRecord>, StoreError> {
        let id = run.record.id;
        let taken = self.store.take_over(id, run.epoch, &self.owner, gone);
        let Some(taken) = taken.await? else {
            return Ok(None);
        };
        self.hook.reached("taken over");
        let mut passage = self.passage(taken, &run.owner, listeners)?;
        if let Some(revival) = revival {
            passage.revive(revival).await?;
        }
        if passage.forward.is_none() {
            passage.interrupt().await?;
        }
        passage.go_on().await.map(Some)
    }

    /// The run of a dead process, `before`, as it left it.
    fn passage(
        &self,
        run: TakenOver,
        before: &Owner,
        listeners: &[Arc<dyn Listener>],
    ) -> Result<Passage<'_>, StoreError> {
        let claim = run.claim;
        let state = RunState::replay(&run.journal).map_err(|error| StoreError::Inconsistent {
            run: claim.run.to_string(),
            what: error.to_string(),
        })?;
        let directories = run.ledger.iter().filter(|(_, of)| of.is_directory());
        let mut hosts = directories.map(|(_, directory)| {
            // An older version did not note it, and took it for that of its owner.
            run.record.host_of(directory).unwrap_or(&before.host)
        });
        let far = hosts.find(|host| self.shared && **host != self.owner.host);
        let elsewhere = far.map(str::to_owned);
        let recorder = Recorder::again(run.record, self.clock.clone(), listeners.to_vec());
        Ok(Passage {
            runner: self,
            claim,
            recorder: Arc::new(recorder),
            state,
            ledger: run.ledger,
            forward: None,
            elsewhere,
            cancel: Cancel::default(),
            park: CancellationToken::new(),
        })
    }
}

impl Passage<'_> {
    /// Writes down that the run's process is gone.
    async fn interrupt(&mut self) -> Result<(), StoreError> {
        if let Some(host) = &self.elsewhere {
            let note = format!("its directories were on {host}, and were not looked at");
            self.recorder.update(|record| record.notes.push(note));
        }
        let record = self.recorder.snapshot();
        let writes = [Write::Entry(&Entry::Interrupted), Write::Record(&record)];
        self.write(&writes).await?;
        self.advance(&Entry::Interrupted)
    }
}
