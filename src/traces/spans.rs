//! A record as the spans of a trace.
//!
//! Ids and times follow from the record alone: whoever exports a run again, or
//! ends it for a process that died, tells the same trace.

mod attributes;
mod milestones;
mod status;
mod times;

use std::{borrow::Cow, iter, time::SystemTime};

use opentelemetry::{
    InstrumentationScope, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use self::times::{at, end_of};
use crate::domain::{
    ids::RunId,
    record::{RunRecord, StepRecord},
};

/// The trace of a run: the run itself first, then its steps.
#[must_use]
pub fn spans(record: &RunRecord) -> Vec<SpanData> {
    let steps = record.steps.iter().zip(1..);
    let steps = steps.map(|(step, nth)| of_step(record, step, nth));
    iter::once(of_run(record)).chain(steps).collect()
}

fn of_run(record: &RunRecord) -> SpanData {
    let events = milestones::of(record, None);
    SpanData {
        span_context: context(record.id, 0),
        parent_span_id: SpanId::INVALID,
        name: format!("drill {}", record.drill).into(),
        start_time: at(record, 0),
        end_time: times::end(record, &events),
        attributes: attributes::of_run(record),
        events,
        status: status::of_run(record),
        ..blank()
    }
}

fn of_step(record: &RunRecord, step: &StepRecord, nth: u64) -> SpanData {
    SpanData {
        span_context: context(record.id, nth),
        parent_span_id: context(record.id, 0).span_id(),
        name: step.step.name().into(),
        start_time: at(record, step.offset_us),
        end_time: end_of(record, step),
        attributes: attributes::of_step(step),
        events: milestones::of(record, Some(step)),
        status: status::of_step(record, step),
        ..blank()
    }
}

/// The trace has the id of its run. Its spans count on from the second half of
/// it: so no two are the same, and none is 0, which would be no id, because that
/// half of a UUID begins with a bit that is set.
fn context(run: RunId, nth: u64) -> SpanContext {
    let run = run.as_u128();
    let half = u64::try_from(run & u128::from(u64::MAX)).unwrap_or_default();
    SpanContext::new(
        TraceId::from(run),
        SpanId::from(half.wrapping_add(nth)),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    )
}

/// What is the same in all spans, and what none has.
fn blank() -> SpanData {
    SpanData {
        span_context: SpanContext::NONE,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: Cow::Borrowed(""),
        start_time: SystemTime::UNIX_EPOCH,
        end_time: SystemTime::UNIX_EPOCH,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("lifeboat")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}
