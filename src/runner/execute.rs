//! Carries out a run: asks the plan what is next, does it, writes it down.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    cancel::Cancel,
    context::Recorder,
    forward::Forward,
    hook::Hook,
    plan::{self, Action},
    record::{draw, new_record},
    release::Ledger,
    store::{Claim, Owner, RunStore, StoreError, Write},
};
use crate::{
    clock::Clock,
    domain::{
        budget::Demand,
        event::{EventKind, Listener, micros},
        failure::{Failure, FailureKind},
        ids::RunId,
        journal::{Entry, RunState},
        record::{Made, RunRecord},
        resource::Resource,
        step::{Acquired, Step},
        timeline::Milestone,
    },
    engine::{Context, Engine, EventSink, Fault},
    sandbox::Sandbox,
    spec::drill::{Drill, deadline_field},
};

/// How long a step may take to end by itself once it was cancelled.
const GRACE: Duration = Duration::from_secs(10);

/// How long it takes at most to hear what a copy has said already.
const HEARING: Duration = Duration::from_mins(1);

/// Everything runs are made with.
#[derive(Clone)]
pub struct Runner {
    pub store: Arc<dyn RunStore>,
    pub sandbox: Arc<dyn Sandbox>,
    pub clock: Arc<dyn Clock>,
    pub hook: Arc<dyn Hook>,
    pub owner: Owner,
    /// Whether processes on other machines write to the same store: what
    /// directories their runs had cannot be seen from here.
    pub shared: bool,
}

/// One run to be made.
pub struct Request<'a> {
    pub id: RunId,
    /// The fire time that it is for; none for one that somebody asked for.
    pub scheduled_for: Option<jiff::Timestamp>,
    /// What who asked for it calls the request.
    pub request_key: Option<String>,
    /// How many others may go on meanwhile.
    pub demand: Demand,
    pub drill: &'a Drill,
    pub engine: Arc<dyn Engine>,
    /// What to spoil in the copy; empty for an ordinary run.
    pub faults: &'a [Fault],
    pub listeners: Vec<Arc<dyn Listener>>,
    /// Ends the run early; everything is given back all the same.
    pub cancel: Cancel,
    /// Leaves the run to the process that comes next, if its copy goes on.
    pub park: CancellationToken,
}

impl Runner {
    /// Makes a run from its beginning until nothing is left of it.
    ///
    /// # Errors
    /// If the history cannot be written. Whatever goes wrong in the drill
    /// itself is in the record.
    pub async fn run(&self, request: Request<'_>) -> Result<RunRecord, StoreError> {
        let record = new_record(&request, self.clock.now());
        // Where the history is out of reach this may take long. Should it have
        // begun all the same, it is found unfinished, and ended.
        let claim = tokio::select! {
            begun = self.store.begin(&record, &self.owner, &request.demand) => begun?,
            () = request.cancel.cancelled() => return Err(StoreError::Cancelled),
        };
        self.hook.reached("begun");
        let listeners = request.listeners.clone();
        let recorder = Arc::new(Recorder::new(record, self.clock.clone(), listeners));
        let drill = request.drill;
        recorder.emit(EventKind::RunStarted {
            drill: drill.name.to_string(),
            engine: drill.workload.engine().to_owned(),
        });
        recorder.emit(EventKind::Reached {
            milestone: Milestone::Requested,
        });
        let forward = Forward {
            drill,
            engine: request.engine,
            sandbox: self.sandbox.clone(),
            recorder: recorder.clone(),
            faults: request.faults,
            cx: Context {
                run: request.id,
                clock: self.clock.clone(),
                events: recorder.clone(),
                cancel: request.cancel.token(),
            },
            products: super::forward::Products::default(),
            has_heirs: self.owner.service && request.faults.is_empty(),
        };
        let mut passage = Passage {
            runner: self,
            claim,
            recorder,
            state: RunState::default(),
            ledger: Vec::new(),
            forward: Some(forward),
            elsewhere: None,
            cancel: request.cancel,
            park: request.park,
        };
        passage.go_on().await
    }
}

/// A run on its way, live or taken over.
pub(super) struct Passage<'a> {
    pub(super) runner: &'a Runner,
    pub(super) claim: Claim,
    pub(super) recorder: Arc<Recorder>,
    pub(super) state: RunState,
    pub(super) ledger: Ledger,
    /// `None` where a dead process's run is only brought to its end.
    pub(super) forward: Option<Forward<'a>>,
    /// The machine, if it is another one, on which a dead process's run had
    /// directories.
    pub(super) elsewhere: Option<String>,
    /// Ends the run early.
    pub(super) cancel: Cancel,
    /// Leaves the run to another process, if its copy goes on.
    pub(super) park: CancellationToken,
}

impl Passage<'_> {
    /// Does whatever is next until nothing is.
    pub(super) async fn go_on(&mut self) -> Result<RunRecord, StoreError> {
        if let Err(error) = self.pass().await {
            self.give_up(error).await?;
        }
        Ok(self.recorder.snapshot())
    }

    pub(super) async fn pass(&mut self) -> Result<(), StoreError> {
        let steps = self.steps();
        loop {
            match plan::next(&steps, &self.state) {
                Action::Do(step) => self.do_step(step).await?,
                Action::Conclude => self.conclude().await?,
                Action::Release(acquired) => self.give_back(acquired).await?,
                Action::Finish => self.finish().await?,
                Action::Rest => return Ok(()),
            }
        }
    }

    pub(super) fn steps(&self) -> Vec<Step> {
        let forward = self.forward.as_ref();
        forward.map(Forward::steps).unwrap_or_default()
    }

    async fn do_step(&mut self, step: Step) -> Result<(), StoreError> {
        let begun = if self.state.open == Some(step) {
            // The process before has begun it, when its last step had ended.
            let begun = self.recorder.last_step_end();
            let begun = begun.unwrap_or_else(|| self.recorder.elapsed());
            self.recorder
                .emit_at(EventKind::StepStarted { step }, begun);
            begun
        } else {
            self.begin(step).await?;
            let begun = self.recorder.elapsed();
            self.recorder.emit(EventKind::StepStarted { step });
            begun
        };
        if step == Step::Inspect {
            self.recorder.emit(EventKind::Reached {
                milestone: Milestone::Started,
            });
        }
        let park = self.park.clone();
        let result = tokio::select! {
            biased;
            () = park.cancelled(), if self.is_anothers_too() => {
                return Err(StoreError::Parked { run: self.claim.run });
            }
            result = self.perform(step, begun) => result,
        };
        let result = result.map_err(|failure| self.cancel.explain(failure));
        self.runner.hook.reached(step.name());
        let entry = match result {
            Ok(summary) => {
                let elapsed = self.recorder.elapsed().saturating_sub(begun);
                let elapsed_ms = micros(elapsed) / 1000;
                let text = summary.clone();
                self.recorder.emit(EventKind::StepDone {
                    step,
                    elapsed_ms,
                    summary: text,
                });
                let forward = self.forward.as_ref();
                let copy = forward.and_then(|forward| forward.products.handle.clone());
                let copy = copy.filter(|_| step == Step::Start);
                Entry::StepDone {
                    step,
                    summary,
                    copy,
                }
            }
            Err(failure) => {
                self.recorder.emit(EventKind::StepFailed {
                    step,
                    failure: failure.clone(),
                });
                Entry::StepFailed { step, failure }
            }
        };
        let identified = self.identified(step);
        self.recorder.update(|record| {
            for (of, old, new) in &identified {
                record.identify(*of, old, new);
            }
        });
        let record = self.recorder.snapshot();
        let mut writes = vec![Write::Entry(&entry), Write::Record(&record)];
        for (of, old, new) in &identified {
            writes.push(Write::Identify(*of, old, new));
        }
        self.write(&writes).await?;
        self.advance(&entry)
    }

    /// Writes down what a step is about to do.
    async fn begin(&mut self, step: Step) -> Result<(), StoreError> {
        let intended = self.forward.as_ref().map(|forward| forward.intends(step));
        let intended = intended.unwrap_or_default().into_iter();
        let intended: Ledger = intended
            .filter_map(|resource| Some((step.acquires()?, resource)))
            .collect();
        let started = Entry::StepStarted { step };
        let now = micros(self.recorder.elapsed());
        let host = &self.runner.owner.host;
        self.recorder.update(|record| {
            for (of, resource) in &intended {
                record.intend(Made {
                    acquired: *of,
                    resource: resource.clone(),
                    host: resource.is_directory().then(|| host.clone()),
                    intended_us: now,
                    gone_us: None,
                });
            }
        });
        let record = self.recorder.snapshot();
        let mut writes = vec![Write::Entry(&started)];
        if !intended.is_empty() {
            writes.push(Write::Record(&record));
        }
        writes.extend(
            intended
                .iter()
                .map(|(of, resource)| Write::Intend(*of, resource)),
        );
        self.write(&writes).await?;
        self.ledger.extend(intended);
        self.advance(&started)
    }

    /// Lines of the ledger of which the step has learnt more, old and new.
    fn identified(&mut self, step: Step) -> Vec<(Acquired, Resource, Resource)> {
        let made = self
            .forward
            .as_mut()
            .map(|forward| &mut forward.products.identified);
        let made = made.map(std::mem::take).unwrap_or_default();
        let mut changes = Vec::new();
        for new in made {
            let lines = self.ledger.iter_mut();
            let mut of_step = lines.filter(|(of, _)| step.acquires() == Some(*of));
            let same = of_step.find(|(_, old)| old.key() == new.key() && *old != new);
            if let Some((of, old)) = same {
                changes.push((*of, std::mem::replace(old, new.clone()), new));
            }
        }
        changes
    }

    /// Does the work of a step within its deadline, and stops on request.
    async fn perform(&mut self, step: Step, begun: Duration) -> Result<String, Failure> {
        let Some(forward) = self.forward.as_mut() else {
            return Err(Failure::new(
                FailureKind::Internal,
                "no forward pass in a recovery",
            ));
        };
        let cancel = forward.cx.cancel.clone();
        if cancel.is_cancelled() {
            return Err(Failure::new(FailureKind::Cancelled, "stopped on request"));
        }
        let deadline = forward.drill.deadline(step);
        // Of one that was under way some is over, but what came of it is heard.
        let over = self.recorder.elapsed().saturating_sub(begun);
        let left = deadline.saturating_sub(over).max(deadline.min(HEARING));
        let mut work = Box::pin(forward.perform(step));
        tokio::select! {
            result = &mut work => return result,
            () = tokio::time::sleep(left) => {}
            () = cancel.cancelled() => {
                // It hears of the request, too; a step that does not end by
                // itself is dropped.
                return match tokio::time::timeout(GRACE, &mut work).await {
                    Ok(Err(failure)) => Err(failure),
                    _ => Err(Failure::new(FailureKind::Cancelled, "stopped on request")),
                };
            }
        }
        drop(work);
        Err(self.timed_out(step, deadline).await)
    }

    async fn timed_out(&self, step: Step, deadline: Duration) -> Failure {
        let mut diagnosis = Vec::new();
        diagnosis.extend(
            self.recorder
                .latest()
                .map(|text| format!("last progress: {text}")),
        );
        for (_, resource) in &self.ledger {
            diagnosis.extend(self.runner.sandbox.diagnose(self.claim.run, resource).await);
        }
        let message = format!(
            "did not end within its deadline of {} s",
            deadline.as_secs_f64()
        );
        let failure = Failure::new(FailureKind::Timeout, message).diagnosis(diagnosis);
        match deadline_field(step) {
            Some(field) => failure.hint(format!("if it needs longer, set {field} in the drill")),
            None => failure,
        }
    }

    async fn conclude(&mut self) -> Result<(), StoreError> {
        let verdict = draw(&self.recorder, &self.state);
        let entry = Entry::Concluded { verdict };
        let record = self.recorder.snapshot();
        self.write(&[Write::Entry(&entry), Write::Record(&record)])
            .await?;
        self.advance(&entry)?;
        self.recorder.emit(EventKind::Concluded { verdict });
        Ok(())
    }

    pub(super) async fn write(&self, writes: &[Write<'_>]) -> Result<(), StoreError> {
        self.runner.hook.reached("before write");
        let now = self.runner.clock.now();
        self.runner.store.write(&self.claim, now, writes).await?;
        self.runner.hook.reached("after write");
        Ok(())
    }

    pub(super) fn advance(&mut self, entry: &Entry) -> Result<(), StoreError> {
        let state = std::mem::take(&mut self.state);
        self.state = state
            .apply(entry)
            .map_err(|error| StoreError::Inconsistent {
                run: self.claim.run.to_string(),
                what: error.to_string(),
            })?;
        Ok(())
    }
}
