//! The recorder: gives every event of a run its time, keeps the record up to
//! date, and passes the event on to all listeners.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    clock::Clock,
    domain::{
        event::{Event, EventKind, Listener, micros},
        ids::RunId,
        record::{FailedStep, RunRecord, StepRecord},
        timeline::Reached,
    },
    engine::EventSink,
};

/// The event sink of one run.
pub struct Recorder {
    run: RunId,
    clock: Arc<dyn Clock>,
    /// The monotonic time at which the run was requested.
    origin: Duration,
    listeners: Vec<Arc<dyn Listener>>,
    record: Mutex<RunRecord>,
    /// What was last told to be in progress, for the diagnosis of a timeout.
    latest: Mutex<Option<String>>,
}

impl Recorder {
    /// Begins to record now.
    #[must_use]
    pub fn new(
        record: RunRecord,
        clock: Arc<dyn Clock>,
        listeners: Vec<Arc<dyn Listener>>,
    ) -> Self {
        Self {
            run: record.id,
            origin: clock.monotonic(),
            clock,
            listeners,
            record: Mutex::new(record),
            latest: Mutex::new(None),
        }
    }

    /// Changes the record.
    pub fn update<T>(&self, change: impl FnOnce(&mut RunRecord) -> T) -> T {
        change(&mut self.record())
    }

    /// The record as it is now.
    #[must_use]
    pub fn snapshot(&self) -> RunRecord {
        self.record().clone()
    }

    /// The wall time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Monotonic time since the run was requested.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.origin)
    }

    /// What was last told to be in progress.
    #[must_use]
    pub fn latest(&self) -> Option<String> {
        self.latest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn record(&self) -> MutexGuard<'_, RunRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, kind: &EventKind, reached: Reached) {
        let offset_us = reached.offset_us;
        let mut record = self.record();
        match kind {
            EventKind::StepStarted { step } => record.steps.push(StepRecord {
                step: *step,
                offset_us,
                elapsed_us: None,
                summary: None,
            }),
            EventKind::StepDone { summary, .. } => {
                end_last_step(&mut record, offset_us, Some(summary.clone()));
            }
            EventKind::StepFailed { step, failure } => {
                end_last_step(&mut record, offset_us, None);
                record.failure = Some(FailedStep {
                    step: *step,
                    failure: failure.clone(),
                });
            }
            EventKind::Reached { milestone } => {
                record.timeline.reach(*milestone, reached);
            }
            EventKind::Note { message } => record.notes.push(message.clone()),
            EventKind::CheckDone { check } => {
                // A check that is made again takes the place of the first.
                record.checks.retain(|other| other.name != check.name);
                record.checks.push(check.clone());
            }
            EventKind::Progress {
                what, done, total, ..
            } => {
                let text = format!("{what}: {done} of {total}");
                *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            }
            EventKind::RunStarted { .. }
            | EventKind::Concluded { .. }
            | EventKind::ReleaseStarted { .. }
            | EventKind::ReleaseFailed { .. }
            | EventKind::Finished { .. } => {}
        }
    }
}

fn end_last_step(record: &mut RunRecord, offset_us: u64, summary: Option<String>) {
    if let Some(last) = record.steps.last_mut() {
        last.elapsed_us = Some(offset_us.saturating_sub(last.offset_us));
        last.summary = summary;
    }
}

impl EventSink for Recorder {
    fn emit(&self, kind: EventKind) {
        self.emit_ago(kind, Duration::ZERO);
    }

    fn emit_ago(&self, kind: EventKind, ago: Duration) {
        let offset_us = micros(self.elapsed().saturating_sub(ago));
        let now = self.clock.now();
        let at = now.checked_sub(ago).unwrap_or(now);
        let reached = Reached {
            at,
            offset_us,
            lag_us: micros(ago),
        };
        self.note(&kind, reached);
        let event = Event {
            run: self.run,
            at,
            offset_us,
            kind,
        };
        for listener in &self.listeners {
            listener.hear(&event);
        }
    }
}
