//! What the history says of one drill.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::spread::Spread;
use crate::domain::{
    check::{Outcome, Proof},
    record::{Profile, RunRecord},
    step::Step,
    verdict::Verdict,
};

/// All runs of a drill, added up.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub runs: BTreeMap<Verdict, u64>,
    pub rtos: Spread,
    pub rpos: Spread,
    /// The newest values, each with the run's time.
    pub rto: Option<(Timestamp, f64)>,
    pub rpo: Option<(Timestamp, f64)>,
    pub success: Option<Timestamp>,
    pub newest: Option<Newest>,
}

/// What is told of the newest run.
#[derive(Debug, Clone)]
pub(super) struct Newest {
    pub at: Timestamp,
    pub verdict: Verdict,
    pub proof: u8,
    pub lost: Option<u64>,
    pub checks: [(&'static str, usize); 3],
    pub steps: Vec<(Step, f64)>,
}

impl Tally {
    /// Adds a run whose verdict is drawn, once.
    pub fn add(&mut self, record: &RunRecord) {
        let Some(verdict) = record.verdict.filter(|_| !record.negative_control) else {
            return;
        };
        let at = record.requested_at;
        *self.runs.entry(verdict).or_default() += 1;
        // Of a profile with accelerators the time is never called RTO.
        let timed = record.profile == Profile::Production && !record.interrupted;
        if let Some(ms) = record.rto.measured_ms.filter(|_| timed) {
            self.rtos.observe(seconds(ms));
            later(&mut self.rto, at, seconds(ms));
        }
        if let Some(ms) = record.rpo.objective.measured_ms {
            self.rpos.observe(seconds(ms));
            later(&mut self.rpo, at, seconds(ms));
        }
        if verdict == Verdict::Passed {
            self.success = self.success.max(Some(at));
        }
        if self.newest.as_ref().is_none_or(|newest| newest.at <= at) {
            self.newest = Some(Newest::of(record, verdict));
        }
    }
}

impl Newest {
    fn of(record: &RunRecord, verdict: Verdict) -> Self {
        let of = |outcome| {
            record
                .checks
                .iter()
                .filter(|check| check.outcome == outcome)
                .count()
        };
        let steps = record.steps.iter().filter_map(|step| {
            let elapsed = step.elapsed_us?;
            Some((step.step, Duration::from_micros(elapsed).as_secs_f64()))
        });
        Self {
            at: record.requested_at,
            verdict,
            proof: match record.proof {
                Proof::None => 0,
                Proof::Asserted => 1,
                Proof::Structural => 2,
                Proof::Canary => 3,
                Proof::Exact => 4,
            },
            lost: record.rpo.acknowledged_writes_lost,
            checks: [
                ("pass", of(Outcome::Pass)),
                ("fail", of(Outcome::Fail)),
                ("untested", of(Outcome::Untested)),
            ],
            steps: steps.collect(),
        }
    }
}

fn later(kept: &mut Option<(Timestamp, f64)>, at: Timestamp, value: f64) {
    if kept.is_none_or(|(before, _)| before <= at) {
        *kept = Some((at, value));
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of a year are exact"
)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
