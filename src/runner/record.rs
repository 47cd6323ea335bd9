//! What the record of a run says at its beginning, and at its conclusion.

use std::time::Duration;

use jiff::Timestamp;

use super::{context::Recorder, execute::Request};
use crate::{
    domain::{
        conclude::{Evidence, RpoEvidence, conclude},
        ids::RunId,
        journal::{Ended, RunState},
        objective::{Measured, RecoveryPointMeasured, millis},
        record::RunRecord,
        recovery_point::Ownership,
        verdict::{Progress, Verdict},
    },
    spec::drill::Drill,
};

/// The record of a run of a drill that is requested at `at` and has not begun.
#[must_use]
pub fn not_begun(drill: &Drill, id: RunId, at: Timestamp) -> RunRecord {
    RunRecord {
        profile: drill.profile,
        workload: drill.in_cluster(),
        rto: Measured::against(drill.objectives.rto, None),
        rpo: RecoveryPointMeasured {
            objective: Measured::against(drill.objectives.rpo, None),
            backup_interval_ms: drill.backup_interval().map(millis),
            ..RecoveryPointMeasured::default()
        },
        ..RunRecord::requested(id, drill.name.as_str(), drill.workload.engine(), at)
    }
}

/// The record of a run that is to begin.
pub(super) fn new_record(request: &Request<'_>, now: Timestamp) -> RunRecord {
    RunRecord {
        scheduled_for: request.scheduled_for,
        request_key: request.request_key.clone(),
        negative_control: !request.faults.is_empty(),
        ..not_begun(request.drill, request.id, now)
    }
}

/// Draws the conclusion, and notes it in the record.
pub(super) fn draw(recorder: &Recorder, state: &RunState) -> Verdict {
    let interrupted = matches!(state.ended, Some(Ended::Interrupted { .. }));
    let progress = progress(state);
    recorder.update(|record| {
        let conclusion = conclude(&Evidence {
            timeline: &record.timeline,
            failure: record.failure.as_ref(),
            interrupted,
            profile: record.profile,
            checks: &record.checks,
            rto_target: record.rto.target_ms.map(Duration::from_millis),
            rpo: rpo_evidence(record),
        });
        record.progress = progress;
        record.interrupted = interrupted;
        record.verdict = Some(conclusion.verdict);
        record.reasons = conclusion.reasons;
        record.rto = conclusion.rto;
        record.rpo = conclusion.rpo;
        record.proof = conclusion.proof;
        conclusion.verdict
    })
}

fn progress(state: &RunState) -> Progress {
    match (&state.ended, state.done.last()) {
        (Some(Ended::Failed { step, .. } | Ended::Interrupted { step: Some(step) }), _)
        | (Some(Ended::Interrupted { step: None }), Some(step)) => Progress::EndedIn(*step),
        (Some(Ended::Interrupted { step: None }), None) => Progress::NotStarted,
        (None, _) => Progress::Complete,
    }
}

fn rpo_evidence(record: &RunRecord) -> RpoEvidence<'_> {
    let point = record.recovery_point.as_ref();
    RpoEvidence {
        target: record.rpo.objective.target_ms.map(Duration::from_millis),
        fresh: point.is_some_and(|point| point.ownership == Ownership::Ours),
        backup_interval: record.rpo.backup_interval_ms.map(Duration::from_millis),
        clock_skew_ms: record
            .source
            .as_ref()
            .map_or(0, |source| source.clock_skew_ms),
        cut: point.and_then(|point| point.cut.at),
        newest: &record.newest_writes,
        canary: record.canary.as_ref(),
    }
}
