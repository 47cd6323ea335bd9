//! Milestones, as events of the span in which they were reached.

use opentelemetry::trace::Event;
use opentelemetry_sdk::trace::SpanEvents;

use super::times::{at, last_of};
use crate::domain::{
    record::{RunRecord, StepRecord},
    timeline::{Milestone, Reached},
};

/// The milestones that were reached in a step, or in none.
pub(super) fn of(record: &RunRecord, step: Option<&StepRecord>) -> SpanEvents {
    let mut events = SpanEvents::default();
    let all = record.timeline.in_order().into_iter();
    events.events = all
        .filter(|(milestone, reached)| step_of(record, *milestone, *reached) == step)
        .map(|(milestone, reached)| event(record, milestone, reached))
        .collect();
    events
}

fn step_of(record: &RunRecord, milestone: Milestone, reached: Reached) -> Option<&StepRecord> {
    // What is given back is given back after all steps.
    if milestone == Milestone::Released {
        return None;
    }
    record
        .steps
        .iter()
        .find(|step| (step.offset_us..=last_of(record, step)).contains(&reached.offset_us))
}

fn event(record: &RunRecord, milestone: Milestone, reached: Reached) -> Event {
    let time = match milestone {
        // Whoever gives it back for a process that died begins to count anew.
        Milestone::Released => reached.at.into(),
        _ => at(record, reached.offset_us),
    };
    Event::new(milestone.name(), time, Vec::new(), 0)
}
