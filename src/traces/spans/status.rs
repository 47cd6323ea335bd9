//! Whether a run and its steps came to a good end.

use opentelemetry::trace::Status;

use crate::domain::{
    record::{RunRecord, StepRecord},
    verdict::Verdict,
};

pub(super) fn of_run(record: &RunRecord) -> Status {
    if record.verdict == Some(Verdict::Passed) {
        return Status::Ok;
    }
    let failure = record
        .failure
        .as_ref()
        .map(|failed| &failed.failure.message);
    let why = failure.or(record.reasons.first());
    Status::error(
        why.map_or("the run has no verdict", String::as_str)
            .to_owned(),
    )
}

pub(super) fn of_step(record: &RunRecord, step: &StepRecord) -> Status {
    let failure = record
        .failure
        .as_ref()
        .filter(|failed| failed.step == step.step);
    match failure {
        Some(failed) => Status::error(failed.failure.message.clone()),
        None if step.elapsed_us.is_none() => Status::error("the process died in this step"),
        None => Status::Unset,
    }
}
