//! The events of a run as its record tells them, for who did not hear them when
//! they happened.
//!
//! A record has no time of its own for checks, notes and the verdict: they get that
//! of the latest step or milestone before the end, by which they were known. What it
//! does not keep at all, such as progress within a step, is not told.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    event::{Event, EventKind},
    record::{RunRecord, StepRecord},
    timeline::Milestone,
};

/// All that the record of a run that has begun tells, in the order in which it
/// happened.
#[must_use]
pub fn events(record: &RunRecord) -> Vec<Event> {
    let begun = EventKind::RunStarted {
        drill: record.drill.clone(),
        engine: record.engine.clone(),
    };
    let mut all = vec![(FIRST, event(record, 0, begun))];
    all.extend(steps(record));
    let reached = milestones(record);
    all.extend(reached.map(|event| (within(record, event.offset_us), event)));
    let by_then = latest(record);
    let turn = within(record, by_then);
    all.extend(untimed(record).map(|kind| (turn, event(record, by_then, kind))));
    let verdict = record.verdict.into_iter();
    let concluded = verdict.map(|verdict| EventKind::Concluded { verdict });
    all.extend(concluded.map(|kind| (LAST, event(record, by_then, kind))));
    all.sort_by_key(|(turn, event)| (event.offset_us, *turn));
    let mut all: Vec<_> = all.into_iter().map(|(_, event)| event).collect();
    all.extend(finished(
        record,
        all.last().map_or(0, |last| last.offset_us),
    ));
    all
}

/// Which of several that happened at the same time comes first: a step of a run
/// that was taken up begins in the very instant in which the one before ended. Each
/// step has three turns, for its beginning, what is told within it, and its end.
type Turn = usize;

const FIRST: Turn = 0;
const LAST: Turn = usize::MAX;

/// That of what is told within a step.
fn within(record: &RunRecord, offset_us: u64) -> Turn {
    let before = record.steps.iter();
    let before = before.take_while(|step| end(step) < offset_us);
    3 * before.count() + 2
}

fn steps(record: &RunRecord) -> impl Iterator<Item = (Turn, Event)> {
    let all = record.steps.iter().enumerate();
    all.flat_map(|(number, step)| {
        let started = EventKind::StepStarted { step: step.step };
        let started = event(record, step.offset_us, started);
        let ended = ended(record, step).map(|kind| event(record, end(step), kind));
        let ended = ended.map(|event| (3 * number + 3, event));
        std::iter::once((3 * number + 1, started)).chain(ended)
    })
}

fn event(record: &RunRecord, offset_us: u64, kind: EventKind) -> Event {
    let at = after(record.requested_at, offset_us);
    Event {
        run: record.id,
        at,
        offset_us,
        kind,
    }
}

fn after(begin: Timestamp, offset_us: u64) -> Timestamp {
    let at = begin.checked_add(Duration::from_micros(offset_us));
    at.unwrap_or(begin)
}

/// When a step ended, or began where it has not ended.
fn end(step: &StepRecord) -> u64 {
    let elapsed = step.elapsed_us.unwrap_or_default();
    step.offset_us.saturating_add(elapsed)
}

/// When the last thing happened that has a time, the end aside.
fn latest(record: &RunRecord) -> u64 {
    let milestones = record.timeline.in_order().into_iter();
    let milestones = milestones.filter(|(milestone, _)| *milestone != Milestone::Released);
    let reached = milestones.map(|(_, reached)| reached.offset_us);
    let all = record.steps.iter().map(end).chain(reached);
    all.max().unwrap_or_default()
}

/// How a step ended; none where it has not, or its process died in it.
fn ended(record: &RunRecord, step: &StepRecord) -> Option<EventKind> {
    let elapsed_us = step.elapsed_us?;
    if let Some(summary) = &step.summary {
        return Some(EventKind::StepDone {
            step: step.step,
            elapsed_ms: elapsed_us / 1000,
            summary: summary.clone(),
        });
    }
    let failed = record.failure.as_ref();
    let failed = failed.filter(|failed| failed.step == step.step)?;
    Some(EventKind::StepFailed {
        step: step.step,
        failure: failed.failure.clone(),
    })
}

fn milestones(record: &RunRecord) -> impl Iterator<Item = Event> {
    let all = record.timeline.in_order().into_iter();
    all.map(|(milestone, reached)| Event {
        run: record.id,
        at: reached.at,
        offset_us: reached.offset_us,
        kind: EventKind::Reached { milestone },
    })
}

fn untimed(record: &RunRecord) -> impl Iterator<Item = EventKind> {
    let checks = record.checks.iter().cloned();
    let checks = checks.map(|check| EventKind::CheckDone { check });
    let notes = record.notes.iter().cloned();
    checks.chain(notes.map(|message| EventKind::Note { message }))
}

fn finished(record: &RunRecord, offset_us: u64) -> Option<Event> {
    Some(Event {
        run: record.id,
        at: record.finished_at?,
        offset_us,
        kind: EventKind::Finished {
            cleanup: record.cleanup.clone(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        check::{CheckKind, CheckResult, Outcome},
        failure::{Failure, FailureKind},
        ids::RunId,
        record::FailedStep,
        step::Step,
        timeline::Reached,
        verdict::{Cleanup, Verdict},
    };

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn step(step: Step, offset_us: u64, elapsed_us: Option<u64>) -> StepRecord {
        StepRecord {
            step,
            offset_us,
            elapsed_us,
            summary: elapsed_us.map(|_| "done".to_owned()),
        }
    }

    fn reach(record: &mut RunRecord, milestone: Milestone, offset_us: u64) {
        let reached = Reached {
            at: after(NOW, offset_us),
            offset_us,
            lag_us: 0,
        };
        record.timeline.reach(milestone, reached);
    }

    fn names(record: &RunRecord) -> Vec<(String, u64)> {
        let all = events(record).into_iter();
        let name = |event: Event| {
            assert_eq!(event.at, after(NOW, event.offset_us));
            let json = serde_json::to_value(&event).unwrap();
            (json["event"].as_str().unwrap().to_owned(), event.offset_us)
        };
        all.map(name).collect()
    }

    fn begun() -> RunRecord {
        RunRecord::requested(RunId::new(NOW), "a", "sqlite", NOW)
    }

    fn told(all: &[(&str, u64)]) -> Vec<(String, u64)> {
        let all = all.iter();
        all.map(|(name, at)| ((*name).to_owned(), *at)).collect()
    }

    #[test]
    fn all_is_told_in_its_order() {
        let mut record = begun();
        assert_eq!(names(&record), told(&[("run_started", 0)]));
        reach(&mut record, Milestone::Requested, 1);
        reach(&mut record, Milestone::Started, 5);
        record.steps = vec![
            step(Step::Inspect, 5, Some(10)),
            step(Step::Verify, 15, Some(20)),
        ];
        record.checks.push(CheckResult {
            name: "load".to_owned(),
            kind: CheckKind::Load,
            outcome: Outcome::Pass,
            summary: String::new(),
            findings: Vec::new(),
            elapsed_ms: 1,
        });
        record.notes.push("odd".to_owned());
        let mut all = vec![
            ("run_started", 0),
            ("reached", 1),
            ("step_started", 5),
            ("reached", 5),
            ("step_done", 15),
            ("step_started", 15),
            ("check_done", 35),
            ("note", 35),
            ("step_done", 35),
        ];
        assert_eq!(names(&record), told(&all));
        record.verdict = Some(Verdict::Passed);
        reach(&mut record, Milestone::Released, 50);
        record.cleanup = Cleanup::Clean;
        record.finished_at = Some(after(NOW, 50));
        all.extend([("concluded", 35), ("reached", 50), ("finished", 50)]);
        assert_eq!(names(&record), told(&all));
    }

    #[test]
    fn a_step_that_failed_and_one_that_was_cut_short_are_told_as_such() {
        let mut record = begun();
        record.steps = vec![step(Step::Inspect, 5, Some(10))];
        record.steps[0].summary = None;
        let failure = Failure::new(FailureKind::Cancelled, "stopped");
        record.failure = Some(FailedStep {
            step: Step::Inspect,
            failure,
        });
        let all = [("run_started", 0), ("step_started", 5), ("step_failed", 15)];
        assert_eq!(names(&record), told(&all));
        record.failure = None;
        record.steps[0].elapsed_us = None;
        record.verdict = Some(Verdict::Inconclusive);
        let all = [("run_started", 0), ("step_started", 5), ("concluded", 5)];
        assert_eq!(names(&record), told(&all));
    }
}
