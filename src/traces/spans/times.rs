//! When things happened, as the record has it.

use std::time::{Duration, SystemTime};

use opentelemetry_sdk::trace::SpanEvents;

use crate::domain::{
    record::{RunRecord, StepRecord},
    timeline::Milestone,
};

/// An instant of the run: its steps are measured by a monotonic clock.
pub(super) fn at(record: &RunRecord, offset_us: u64) -> SystemTime {
    let requested = SystemTime::from(record.requested_at);
    let instant = requested.checked_add(Duration::from_micros(offset_us));
    instant.unwrap_or(requested)
}

pub(super) fn end_of(record: &RunRecord, step: &StepRecord) -> SystemTime {
    at(record, last_of(record, step))
}

/// When a step ended. One that did not, because the process died, is known to
/// have gone on until the last milestone.
pub(super) fn last_of(record: &RunRecord, step: &StepRecord) -> u64 {
    if let Some(elapsed) = step.elapsed_us {
        return step.offset_us.saturating_add(elapsed);
    }
    let milestones = record.timeline.in_order().into_iter();
    let measured = milestones.filter(|(milestone, _)| *milestone != Milestone::Released);
    let offsets = measured.map(|(_, reached)| reached.offset_us);
    offsets.fold(step.offset_us, u64::max)
}

/// When a run ended: not before anything that is known of it, though wall clocks
/// are set back at times.
pub(super) fn end(record: &RunRecord, events: &SpanEvents) -> SystemTime {
    let finished = record.finished_at.map_or(at(record, 0), SystemTime::from);
    let steps = record.steps.iter().map(|step| end_of(record, step));
    let events = events.iter().map(|event| event.timestamp);
    steps.chain(events).fold(finished, SystemTime::max)
}
