//! What becomes of a run whose history can't be written.
//!
//! Nothing may be left behind because of that: so all is given back unwritten,
//! which the next sweep may do once more. Often that makes the very room which
//! the history lacked.
//!
//! A run that was taken over is the other process's, which does nothing but
//! give back: what this one had under way goes, too, and nothing more is
//! written.
//!
//! Only a copy that goes on by itself is left alone, wherever another process may
//! have it by now, or will: where the run was taken over, where the history is out
//! of reach, which may be so for this process alone, and where it is parked. This
//! one makes nothing more, and whoever finds the run unfinished, takes it up or
//! releases it.

use super::{
    execute::Passage,
    plan::{self, Action},
    release::release,
    store::{StoreError, Write},
};
use crate::{
    domain::{event::EventKind, failure::Failure, journal::Entry},
    engine::EventSink,
};

impl Passage<'_> {
    /// Gives everything back, and ends the run if the history can be written
    /// by now.
    ///
    /// # Errors
    /// With what kept the history from being written.
    pub(super) async fn give_up(&mut self, error: StoreError) -> Result<(), StoreError> {
        let lost = matches!(error, StoreError::ClaimLost { .. });
        let parked = matches!(error, StoreError::Parked { .. });
        let cut_off = matches!(error, StoreError::Unreachable { .. });
        if (lost || parked || cut_off) && self.is_anothers_too() {
            return Err(error);
        }
        for acquired in self.state.held.clone().into_iter().rev() {
            let (sandbox, run) = (&*self.runner.sandbox, self.claim.run);
            // What fails here is stuck, and is found and told by the sweeper.
            let _ = release(sandbox, run, &self.ledger, acquired).await;
        }
        if lost {
            return Err(error);
        }
        let again = async {
            self.fail(Failure::from(&error)).await?;
            self.pass().await
        };
        again.await.map_err(|_| error)
    }

    /// Ends the forward pass, if it goes on, with the step that is under way
    /// or would have been next.
    async fn fail(&mut self, failure: Failure) -> Result<(), StoreError> {
        // Why the step itself failed says more.
        let told = self.recorder.snapshot().failure;
        let mut entries = Vec::new();
        let step = match (self.state.open, plan::next(&self.steps(), &self.state)) {
            (Some(step), _) => step,
            (None, Action::Do(step)) => {
                entries.push(Entry::StepStarted { step });
                self.recorder.emit(EventKind::StepStarted { step });
                step
            }
            _ => return Ok(()),
        };
        let failure = if let Some(told) = told.filter(|told| told.step == step) {
            told.failure
        } else {
            self.recorder.emit(EventKind::StepFailed {
                step,
                failure: failure.clone(),
            });
            failure
        };
        entries.push(Entry::StepFailed { step, failure });
        let record = self.recorder.snapshot();
        let mut writes: Vec<_> = entries.iter().map(Write::Entry).collect();
        writes.push(Write::Record(&record));
        self.write(&writes).await?;
        entries.iter().try_for_each(|entry| self.advance(entry))
    }
}
