//! What is told of a run and of a step beside its times.

use opentelemetry::KeyValue;

use crate::domain::{
    objective::{Measured, RpoBasis},
    record::{RunRecord, StepRecord},
    verdict::Verdict,
};

pub(super) fn of_run(record: &RunRecord) -> Vec<KeyValue> {
    let trigger = match record.scheduled_for {
        Some(_) => "schedule",
        None => "request",
    };
    let always = [
        KeyValue::new("lifeboat.run", record.id.to_string()),
        KeyValue::new("lifeboat.drill", record.drill.clone()),
        KeyValue::new("lifeboat.engine", record.engine.clone()),
        KeyValue::new("lifeboat.trigger", trigger),
        KeyValue::new("lifeboat.negative_control", record.negative_control),
    ];
    let scheduled = record.scheduled_for.map(|due| due.to_string());
    let known = [
        scheduled.map(|due| KeyValue::new("lifeboat.scheduled_for", due)),
        text("lifeboat.verdict", record.verdict.map(Verdict::name)),
        text("lifeboat.rpo.basis", record.rpo.basis.map(RpoBasis::name)),
    ];
    let rto = objective(["lifeboat.rto_ms", "lifeboat.rto.target_ms"], &record.rto);
    let rpo = &record.rpo.objective;
    let rpo = objective(["lifeboat.rpo_ms", "lifeboat.rpo.target_ms"], rpo);
    let known = known.into_iter().chain(rto).chain(rpo);
    always.into_iter().chain(known.flatten()).collect()
}

pub(super) fn of_step(step: &StepRecord) -> Vec<KeyValue> {
    let summary = step.summary.clone();
    let summary = summary.map(|summary| KeyValue::new("lifeboat.summary", summary));
    summary.into_iter().collect()
}

fn text(name: &'static str, value: Option<&'static str>) -> Option<KeyValue> {
    value.map(|value| KeyValue::new(name, value))
}

fn objective(names: [&'static str; 2], of: &Measured) -> [Option<KeyValue>; 2] {
    let [measured, target] = names;
    [
        millis(measured, of.measured_ms),
        millis(target, of.target_ms),
    ]
}

fn millis(name: &'static str, value: Option<u64>) -> Option<KeyValue> {
    let value = value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
    value.map(|value| KeyValue::new(name, value))
}
