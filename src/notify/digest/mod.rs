//! What happened in a period, summed up.

mod course;
mod text;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use self::{course::Course, text::Words};
use super::said::{Said, harmless};
use crate::{
    domain::{
        ids::RunId,
        record::{Profile, RunRecord},
        verdict::Verdict,
    },
    history::{Period, agenda::Passed, outbox::Subject},
    schedule::Zone,
};

/// The `schema` of what a webhook gets.
pub const DIGEST_SCHEMA: &str = "lifeboat.dev/digest/v1";

/// What happened in a period.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Digest {
    pub runs: Runs,
    /// Drills whose last verdict is another one than that before the period.
    pub changed: Vec<Changed>,
    /// Drills of which a run has not passed.
    pub failed: Vec<Failed>,
    /// Fire times that passed without a run, by reason.
    pub without_run: BTreeMap<&'static str, u64>,
    pub longest_rto: Option<Longest>,
    pub longest_rpo: Option<Longest>,
    pub missed_targets: Vec<MissedTarget>,
}

/// How many runs ended, by verdict.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Runs {
    pub passed: u64,
    pub failed: u64,
    pub inconclusive: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    pub drill: String,
    pub from: Verdict,
    pub to: Verdict,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    pub drill: String,
    /// So many of its runs have not passed.
    pub runs: u64,
    /// The newest of them, with its verdict and its first reason.
    pub run: RunId,
    pub verdict: Verdict,
    pub reason: Option<String>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Longest {
    pub drill: String,
    pub run: RunId,
    pub measured_ms: u64,
}

/// A target that a drill missed; the newest run that did.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct MissedTarget {
    pub drill: String,
    pub objective: &'static str,
    pub run: RunId,
    pub target_ms: Option<u64>,
    /// Absent where it never came as far as that.
    pub measured_ms: Option<u64>,
}

/// Sums up, one run after the other.
#[derive(Debug, Default)]
pub struct Sum {
    digest: Digest,
    drills: BTreeMap<String, Course>,
}

impl Sum {
    /// Whether a run of the drill was added.
    #[must_use]
    pub fn knows(&self, drill: &str) -> bool {
        self.drills.contains_key(drill)
    }

    /// Adds a run that ended after all that were added. `before` is the verdict
    /// of the run before it; it matters for the first run of a drill.
    pub fn add(&mut self, record: &RunRecord, before: Option<Verdict>) {
        let Some(verdict) = record.verdict else {
            return;
        };
        self.digest.runs.count(verdict);
        // The time of a fast validation is no RTO.
        if record.profile == Profile::Production {
            lengthen(&mut self.digest.longest_rto, record, record.rto.measured_ms);
        }
        let rpo = record.rpo.objective.measured_ms;
        lengthen(&mut self.digest.longest_rpo, record, rpo);
        let drill = self.drills.entry(record.drill.clone());
        let course = drill.or_insert_with(|| Course::new(before, verdict));
        course.add(record, verdict);
    }

    /// Adds fire times that passed without a run.
    pub fn pass(&mut self, passed: &Passed) {
        let times = self.digest.without_run.entry(passed.reason.name());
        *times.or_default() += passed.fire_times;
    }

    #[must_use]
    pub fn digest(mut self) -> Digest {
        for (drill, course) in self.drills {
            course.tell(&drill, &mut self.digest);
        }
        self.digest
    }
}

impl Runs {
    fn count(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Failed => &mut self.failed,
            Verdict::Inconclusive => &mut self.inconclusive,
        } += 1;
    }
}

fn lengthen(longest: &mut Option<Longest>, record: &RunRecord, measured_ms: Option<u64>) {
    let before = longest.as_ref().map(|longest| longest.measured_ms);
    if let Some(measured_ms) = measured_ms.filter(|now| before.is_none_or(|before| *now > before)) {
        *longest = Some(Longest {
            drill: record.drill.clone(),
            run: record.id,
            measured_ms,
        });
    }
}

impl Digest {
    /// What a target is told, with times by the clocks of its zone.
    #[must_use]
    pub fn said(&self, period: Period, zone: &Zone) -> Said {
        let text = Words { digest: self }.text(period, zone);
        Said {
            about: Subject::Period(period).to_string(),
            json: self.json(period, &text),
            slack: harmless(&text),
        }
    }

    fn json(&self, period: Period, text: &str) -> Value {
        let mut json = json!(self);
        json["schema"] = json!(DIGEST_SCHEMA);
        json["since"] = json!(period.since);
        json["until"] = json!(period.until);
        json["text"] = json!(text);
        json
    }
}

#[cfg(test)]
mod tests;
