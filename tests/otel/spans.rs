//! What is made of a record.

use std::time::{Duration, SystemTime};

use lifeboat::{
    domain::{record::RunRecord, timeline::Milestone},
    traces::spans,
};
use opentelemetry::{
    Value,
    trace::{SpanId, Status},
};
use opentelemetry_sdk::trace::SpanData;

use crate::support::records;

fn attribute(span: &SpanData, name: &str) -> Option<Value> {
    let all = &span.attributes;
    let found = all.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.clone())
}

fn names(spans: &[SpanData]) -> Vec<&str> {
    spans.iter().map(|span| &*span.name).collect()
}

fn events(span: &SpanData) -> Vec<&str> {
    span.events.iter().map(|event| &*event.name).collect()
}

fn after(record: &RunRecord, ms: u64) -> SystemTime {
    SystemTime::from(record.requested_at) + Duration::from_millis(ms)
}

#[test]
fn a_run_is_a_span_with_one_for_each_step() {
    let record = records::passed();
    let spans = spans(&record);
    assert_eq!(
        names(&spans),
        [
            "drill shop-nightly",
            "inspect",
            "capture",
            "open_sandbox",
            "start",
            "restore",
            "serve",
            "verify"
        ]
    );
    let (run, steps) = spans.split_first().unwrap();
    assert_eq!(run.parent_span_id, SpanId::INVALID);
    assert_eq!(
        [run.start_time, run.end_time],
        [after(&record, 0), after(&record, 24_000)]
    );
    assert_eq!(run.status, Status::Ok);
    for step in steps {
        assert_eq!(step.parent_span_id, run.span_context.span_id());
        assert_eq!(step.status, Status::Unset);
    }
    let capture = &steps[1];
    assert_eq!(
        [capture.start_time, capture.end_time],
        [after(&record, 192), after(&record, 5_210)]
    );
    let summary = "20 tables, fingerprinted in the dump's snapshot";
    assert_eq!(attribute(capture, "lifeboat.summary"), Some(summary.into()));
}

#[test]
fn what_is_known_of_the_run_is_told() {
    let mut record = records::passed();
    let run = &spans(&record)[0];
    let told = |name: &str| attribute(run, name);
    assert_eq!(told("lifeboat.run"), Some(record.id.to_string().into()));
    assert_eq!(told("lifeboat.drill"), Some("shop-nightly".into()));
    assert_eq!(told("lifeboat.engine"), Some("postgresql".into()));
    assert_eq!(told("lifeboat.verdict"), Some("passed".into()));
    assert_eq!(told("lifeboat.trigger"), Some("request".into()));
    assert_eq!(told("lifeboat.scheduled_for"), None);
    assert_eq!(told("lifeboat.rto_ms"), Some(12_340.into()));
    assert_eq!(told("lifeboat.rto.target_ms"), Some(900_000.into()));
    assert_eq!(told("lifeboat.rpo_ms"), Some(3_004_958.into()));
    assert_eq!(told("lifeboat.rpo.basis"), Some("canary".into()));

    let control = &spans(&records::negative_control())[0];
    let told = |run| attribute(run, "lifeboat.negative_control");
    assert_eq!(
        [told(run), told(control)],
        [Some(false.into()), Some(true.into())]
    );

    record.scheduled_for = Some(record.requested_at);
    record.rto.measured_ms = None;
    let run = &spans(&record)[0];
    assert_eq!(attribute(run, "lifeboat.trigger"), Some("schedule".into()));
    let due = Some("2026-01-02T03:04:05Z".into());
    assert_eq!(attribute(run, "lifeboat.scheduled_for"), due);
    assert_eq!(attribute(run, "lifeboat.rto_ms"), None);
}

#[test]
fn ids_follow_from_the_run() {
    let record = records::passed();
    let first = spans(&record);
    assert_eq!(first, spans(&record));
    for span in &first {
        let trace = span.span_context.trace_id().to_string();
        assert_eq!(trace, "019b7c5f6f887c3e9f213f9a1c0de5b2");
        assert!(span.span_context.is_valid() && span.span_context.is_sampled());
    }
    let mut ids: Vec<_> = first
        .iter()
        .map(|span| span.span_context.span_id().to_string())
        .collect();
    assert_eq!(ids[..2], ["9f213f9a1c0de5b2", "9f213f9a1c0de5b3"]);
    ids.dedup();
    assert_eq!(ids.len(), first.len());
}

#[test]
fn a_milestone_is_an_event_of_the_step_that_reached_it() {
    let spans = spans(&records::passed());
    let all: Vec<_> = spans.iter().map(events).collect();
    assert_eq!(all[0], ["requested", "released"]);
    assert_eq!(all[1], ["started"]);
    assert_eq!(all[2], ["recovery_point_ready"]);
    assert_eq!(all[3], ["declared", "sandbox_ready"]);
    assert_eq!(all[5], ["data_restored"]);
    assert_eq!(all[6], ["accepting", "reads", "serving"]);
    assert_eq!(all[7], ["verified"]);
}

#[test]
fn what_did_not_pass_is_an_error_with_its_reason() {
    let failed = spans(&records::failed());
    assert_eq!(
        failed[0].status,
        Status::error("check fingerprints failed: 14 tables differ")
    );
    assert!(failed[1..].iter().all(|step| step.status == Status::Unset));

    let mut record = records::inconclusive();
    record.steps.last_mut().unwrap().elapsed_us = Some(9_000_000);
    let broken = spans(&record);
    let why = Status::error("pg_restore ended with status 1: no space left");
    assert_eq!(broken[0].status, why);
    assert_eq!(
        [&broken[4].status, &broken[5].status],
        [&Status::Unset, &why]
    );
    assert_eq!(broken[5].end_time, after(&record, 15_141));
}

#[test]
fn a_step_that_the_process_died_in_ends_with_what_is_known() {
    let mut record = records::interrupted();
    // Whoever gave everything back, an hour later, began to count anew.
    let released = record.requested_at + Duration::from_hours(1);
    let reached = lifeboat::domain::timeline::Reached {
        at: released,
        offset_us: 700,
        lag_us: 0,
    };
    record.timeline.reach(Milestone::Released, reached);
    record.finished_at = Some(released);
    let spans = spans(&record);
    assert_eq!(
        spans[0].status,
        Status::error("interrupted between declared and serving")
    );
    assert_eq!(spans[0].end_time, after(&record, 3_600_000));
    let event = spans[0]
        .events
        .iter()
        .find(|event| event.name == "released")
        .unwrap();
    assert_eq!(event.timestamp, after(&record, 3_600_000));
    assert_eq!(
        spans[5].status,
        Status::error("the process died in this step")
    );
    assert_eq!(
        [spans[5].start_time, spans[5].end_time],
        [after(&record, 6_141); 2]
    );
}

#[test]
fn a_wall_clock_that_was_set_back_ends_no_run_before_its_steps() {
    let mut record = records::passed();
    record.finished_at = Some(record.requested_at);
    assert_eq!(spans(&record)[0].end_time, after(&record, 23_900));
}

#[test]
fn milestones_are_called_as_in_a_record() {
    for (milestone, _) in records::passed().timeline.in_order() {
        assert_eq!(serde_json::json!(milestone), milestone.name());
    }
}
