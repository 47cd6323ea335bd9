//! The recorder: gives every event of a run its time, keeps the record up to
//! date, and passes the event on to all listeners.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
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
    /// The monotonic time when this began.
    origin: Duration,
    /// How long ago the run was requested then, in microseconds; what happened
    /// later than that says may show that it was longer.
    since: AtomicU64,
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
        Self::since(Duration::ZERO, record, clock, listeners)
    }

    /// Goes on to record a run that another process has begun. Nobody has kept
    /// the time in between: so this one begins with what the wall clock says, and
    /// not before what is recorded already.
    #[must_use]
    pub fn again(
        record: RunRecord,
        clock: Arc<dyn Clock>,
        listeners: Vec<Arc<dyn Listener>>,
    ) -> Self {
        let since = clock.now().duration_since(record.requested_at);
        let since = Duration::try_from(since).unwrap_or_default();
        let milestones = record.timeline.in_order();
        let last = milestones.last().map_or(0, |(_, last)| last.offset_us);
        let last = last.max(end_of_last_step(&record).unwrap_or(0));
        let since = since.max(Duration::from_micros(last));
        Self::since(since, record, clock, listeners)
    }

    fn since(
        since: Duration,
        record: RunRecord,
        clock: Arc<dyn Clock>,
        listeners: Vec<Arc<dyn Listener>>,
    ) -> Self {
        Self {
            run: record.id,
            origin: clock.monotonic(),
            since: AtomicU64::new(micros(since)),
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
        let since = Duration::from_micros(self.since.load(Ordering::Relaxed));
        since + self.clock.monotonic().saturating_sub(self.origin)
    }

    /// When the last step ended that has ended.
    #[must_use]
    pub fn last_step_end(&self) -> Option<Duration> {
        end_of_last_step(&self.record()).map(Duration::from_micros)
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

    fn tell(&self, kind: EventKind, reached: Reached) {
        self.note(&kind, reached);
        let event = Event {
            run: self.run,
            at: reached.at,
            offset_us: reached.offset_us,
            kind,
        };
        for listener in &self.listeners {
            listener.hear(&event);
        }
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
            // What is heard again is not told twice.
            EventKind::Note { message } if record.notes.contains(message) => {}
            EventKind::Note { message } => record.notes.push(message.clone()),
            EventKind::CheckDone { check } => {
                record.check_done(check.clone());
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

fn end_of_last_step(record: &RunRecord) -> Option<u64> {
    let ended = |step: &StepRecord| Some(step.offset_us + step.elapsed_us?);
    record.steps.iter().rev().find_map(ended)
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
        self.tell(kind, reached);
    }

    fn emit_at(&self, kind: EventKind, offset: Duration) {
        let requested_at = self.record().requested_at;
        let late = self.elapsed();
        // Nothing is heard before it happens: the wall clock was set back.
        let here = self.clock.monotonic().saturating_sub(self.origin);
        let since = micros(offset.saturating_sub(here));
        self.since.fetch_max(since, Ordering::Relaxed);
        let reached = Reached {
            at: requested_at.checked_add(offset).unwrap_or(requested_at),
            offset_us: micros(offset),
            lag_us: micros(late.saturating_sub(offset)),
        };
        self.tell(kind, reached);
    }

    fn elapsed(&self) -> Option<Duration> {
        Some(self.elapsed())
    }
}
