//! What is counted of a drill's runs.

mod spread;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::spread::{BOUNDS, Spread};
use super::{
    check::{Outcome, Proof},
    ids::RunId,
    record::{Profile, RunRecord},
    step::Step,
    verdict::Verdict,
};

/// The figures of a run whose verdict is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures<'a> {
    pub verdict: Verdict,
    /// `None` where none was measured that may be called so.
    pub rto_ms: Option<u64>,
    pub rpo_ms: Option<u64>,
    pub proof: Proof,
    /// That of its workload, where it is one of Kubernetes.
    pub namespace: Option<&'a str>,
}

impl<'a> Figures<'a> {
    /// Those of a run; `None` while its verdict is not drawn.
    #[must_use]
    pub fn of(record: &'a RunRecord) -> Option<Self> {
        // Of a profile with accelerators the time is never called RTO.
        let timed = record.profile == Profile::Production && !record.interrupted;
        Some(Self {
            verdict: record.verdict?,
            rto_ms: record.rto.measured_ms.filter(|_| timed),
            rpo_ms: record.rpo.objective.measured_ms,
            proof: record.proof,
            namespace: record.workload.as_ref().map(|of| of.namespace.as_str()),
        })
    }
}

/// All runs of a drill, added up, negative controls aside. In whatever order they
/// are added, it is the same.
///
/// Who does not know all of what is written there must not write it: it would be
/// gone for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tally {
    pub runs: BTreeMap<Verdict, u64>,
    pub rtos: Spread,
    pub rpos: Spread,
    /// The newest values in milliseconds, each with when its run was requested.
    pub rto: Option<(Timestamp, u64)>,
    pub rpo: Option<(Timestamp, u64)>,
    /// When the newest run that passed was requested.
    pub success: Option<Timestamp>,
    pub newest: Option<Newest>,
}

/// What is told of the newest run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Newest {
    pub run: RunId,
    pub requested_at: Timestamp,
    pub concluded_at: Timestamp,
    pub verdict: Verdict,
    pub rto_ms: Option<u64>,
    pub rpo_ms: Option<u64>,
    pub proof: Proof,
    pub namespace: Option<String>,
    /// Acknowledged writes of the canary that are not in the copy.
    pub lost: Option<u64>,
    pub checks: Checks,
    /// How long each step took, in microseconds.
    pub steps: Vec<(Step, u64)>,
}

/// Checks by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    pub pass: usize,
    pub fail: usize,
    pub untested: usize,
}

impl Tally {
    /// Adds a run whose verdict was drawn at `concluded_at`, once.
    pub fn add(&mut self, record: &RunRecord, concluded_at: Timestamp) {
        let Some(figures) = Figures::of(record).filter(|_| !record.negative_control) else {
            return;
        };
        let at = record.requested_at;
        *self.runs.entry(figures.verdict).or_default() += 1;
        if let Some(ms) = figures.rto_ms {
            self.rtos.observe(ms);
            self.rto = self.rto.max(Some((at, ms)));
        }
        if let Some(ms) = figures.rpo_ms {
            self.rpos.observe(ms);
            self.rpo = self.rpo.max(Some((at, ms)));
        }
        if figures.verdict == Verdict::Passed {
            self.success = self.success.max(Some(at));
        }
        let before = self.newest.as_ref();
        if before.is_none_or(|newest| (newest.requested_at, newest.run) < (at, record.id)) {
            self.newest = Some(Newest::of(record, &figures, concluded_at));
        }
    }
}

impl Newest {
    fn of(record: &RunRecord, figures: &Figures<'_>, concluded_at: Timestamp) -> Self {
        let of = |outcome| {
            let checks = record.checks.iter();
            checks.filter(|check| check.outcome == outcome).count()
        };
        let steps = record.steps.iter();
        Self {
            run: record.id,
            requested_at: record.requested_at,
            concluded_at,
            verdict: figures.verdict,
            rto_ms: figures.rto_ms,
            rpo_ms: figures.rpo_ms,
            proof: figures.proof,
            namespace: figures.namespace.map(str::to_owned),
            lost: record.rpo.acknowledged_writes_lost,
            checks: Checks {
                pass: of(Outcome::Pass),
                fail: of(Outcome::Fail),
                untested: of(Outcome::Untested),
            },
            steps: steps
                .filter_map(|step| Some((step.step, step.elapsed_us?)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of a second, with a verdict and times that follow from it.
    fn run(second: i64) -> RunRecord {
        let at = Timestamp::from_second(second).unwrap();
        let mut record = RunRecord::requested(RunId::new(at), "a", "sqlite", at);
        let number = second.unsigned_abs();
        record.verdict = Some(Verdict::ALL[(number % 3) as usize]);
        record.rto.measured_ms = (!number.is_multiple_of(4)).then_some(number * 777);
        record.rpo.objective.measured_ms = (!number.is_multiple_of(5)).then_some(number * 99);
        record.interrupted = number.is_multiple_of(7);
        record.negative_control = number.is_multiple_of(11);
        record
    }

    #[test]
    fn the_order_of_runs_makes_no_difference() {
        let mut runs: Vec<_> = (0..60).map(|number| run(number / 2)).collect();
        let of = |runs: &[RunRecord]| {
            let mut tally = Tally::default();
            for record in runs {
                tally.add(record, record.requested_at);
            }
            tally
        };
        let tally = of(&runs);
        for _ in 0..20 {
            fastrand::shuffle(&mut runs);
            assert_eq!(of(&runs), tally);
        }
        let text = serde_json::to_string(&tally).unwrap();
        assert_eq!(serde_json::from_str::<Tally>(&text).unwrap(), tally);
        assert_eq!(tally.newest.unwrap().requested_at.as_second(), 29);
        // Spoilt ones aside.
        assert_eq!(tally.runs.values().sum::<u64>(), 54);
    }

    #[test]
    fn what_is_no_recovery_time_is_not_called_so() {
        let mut record = run(1);
        assert_eq!(Figures::of(&record).unwrap().rto_ms, Some(777));
        record.interrupted = true;
        assert_eq!(Figures::of(&record).unwrap().rto_ms, None);
        record.interrupted = false;
        record.profile = Profile::FastValidate;
        let figures = Figures::of(&record).unwrap();
        assert_eq!((figures.rto_ms, figures.rpo_ms), (None, Some(99)));
        record.verdict = None;
        assert_eq!(Figures::of(&record), None);
    }

    /// As a version that knows less wrote it, and one that knows more.
    #[test]
    fn what_is_not_written_is_nothing() {
        for more in ["{\"more\":1}", "{\"rtos\":{\"more\":1}}"] {
            assert!(serde_json::from_str::<Tally>(more).is_err());
        }
        assert_eq!(
            serde_json::from_str::<Tally>("{}").unwrap(),
            Tally::default()
        );
    }
}
