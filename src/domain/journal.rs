//! The journal of a run: what was begun and what came of it.
//!
//! It is append-only. [`RunState::apply`] is the one table of transitions,
//! used live and when a journal is read again after a crash.

use serde::{Deserialize, Serialize};

use super::{
    failure::Failure,
    step::{Acquired, Step},
    verdict::Verdict,
};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "entry")]
pub enum Entry {
    /// Written before the step's first effect.
    StepStarted {
        step: Step,
    },
    /// Written after its last.
    StepDone {
        step: Step,
        summary: String,
        /// By what another process finds the copy that the step has started, in
        /// the engine's own terms; only where the copy goes on by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copy: Option<serde_json::Value>,
    },
    StepFailed {
        step: Step,
        failure: Failure,
    },
    /// The process that ran the drill is gone; another one takes over.
    Interrupted,
    /// The verdict is known and the record is stored. Comes before teardown.
    Concluded {
        verdict: Verdict,
    },
    ReleaseStarted {
        acquired: Acquired,
    },
    Released {
        acquired: Acquired,
    },
    ReleaseFailed {
        acquired: Acquired,
        failure: Failure,
    },
    /// Nothing more will be done in this run.
    Finished,
}

/// What a journal amounts to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunState {
    /// The steps that are done, in order.
    pub done: Vec<Step>,
    /// The step that was started and has not ended.
    pub open: Option<Step>,
    /// By what the copy is found, where it goes on by itself.
    pub copy: Option<serde_json::Value>,
    /// What ended the forward pass early.
    pub ended: Option<Ended>,
    pub verdict: Option<Verdict>,
    /// What was started to be acquired and is not given back, oldest first.
    pub held: Vec<Acquired>,
    /// What could not be given back in this pass.
    pub stuck: Vec<Acquired>,
    pub finished: bool,
}

/// Why no further step is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Failed { step: Step, failure: Failure },
    Interrupted { step: Option<Step> },
}

/// A journal that cannot be: a bug, or a damaged history.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("journal entry {entry:?} cannot follow what is written before it")]
pub struct IllegalTransition {
    pub entry: Entry,
}

impl RunState {
    /// The state after all of `journal`.
    ///
    /// # Errors
    /// If the entries cannot have been written in this order.
    pub fn replay(journal: &[Entry]) -> Result<Self, IllegalTransition> {
        journal.iter().try_fold(Self::default(), Self::apply)
    }

    /// By what the copy is found that goes on by itself, whatever becomes of the
    /// process that started it: its run can be taken up. `None` where there is no
    /// such copy, or nothing more to hear of it.
    #[must_use]
    pub fn goes_on(&self) -> Option<&serde_json::Value> {
        let complete = self.done.last() == Some(&Step::Verify);
        let over = self.verdict.is_some() || self.ended.is_some() || complete;
        self.copy.as_ref().filter(|_| !over)
    }

    /// The state after one more entry.
    ///
    /// # Errors
    /// If the entry cannot follow.
    pub fn apply(mut self, entry: &Entry) -> Result<Self, IllegalTransition> {
        if self.finished || !self.step_entry_fits(entry) {
            return Err(IllegalTransition {
                entry: entry.clone(),
            });
        }
        match entry {
            Entry::StepStarted { step } => {
                self.open = Some(*step);
                self.held.extend(step.acquires());
            }
            Entry::StepDone { step, copy, .. } => {
                self.open = None;
                self.done.push(*step);
                self.copy = self.copy.or_else(|| copy.clone());
            }
            Entry::StepFailed { step, failure } => {
                self.open = None;
                let failure = failure.clone();
                self.ended = Some(Ended::Failed {
                    step: *step,
                    failure,
                });
            }
            Entry::Interrupted => {
                let step = self.open.take();
                self.stuck.clear();
                // A run that did its last step has nothing left to lose.
                let complete = self.done.last() == Some(&Step::Verify);
                if self.verdict.is_none() && self.ended.is_none() && !complete {
                    self.ended = Some(Ended::Interrupted { step });
                }
            }
            Entry::Concluded { verdict } => self.verdict = Some(*verdict),
            Entry::ReleaseStarted { .. } => {}
            Entry::Released { acquired } => self.held.retain(|held| held != acquired),
            Entry::ReleaseFailed { acquired, .. } => self.stuck.push(*acquired),
            Entry::Finished => self.finished = true,
        }
        Ok(self)
    }

    fn step_entry_fits(&self, entry: &Entry) -> bool {
        match entry {
            Entry::StepStarted { step } => {
                self.open.is_none()
                    && self.ended.is_none()
                    && self.verdict.is_none()
                    && self.done.last().is_none_or(|last| last < step)
            }
            Entry::StepDone { step, .. } | Entry::StepFailed { step, .. } => {
                self.open == Some(*step)
            }
            Entry::Concluded { .. } => self.open.is_none() && self.verdict.is_none(),
            Entry::ReleaseStarted { acquired }
            | Entry::Released { acquired }
            | Entry::ReleaseFailed { acquired, .. } => {
                self.verdict.is_some() && self.held.contains(acquired)
            }
            Entry::Finished => self.verdict.is_some() && self.open.is_none(),
            Entry::Interrupted => true,
        }
    }
}
