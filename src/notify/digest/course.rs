//! What a drill's runs in a period came to.

use super::{Changed, Digest, Failed, MissedTarget};
use crate::domain::{
    ids::RunId,
    objective::{Measured, Standing},
    record::RunRecord,
    verdict::Verdict,
};

#[derive(Debug)]
pub(super) struct Course {
    /// The verdict before the period.
    before: Option<Verdict>,
    last: Verdict,
    /// Runs that have not passed.
    failures: u64,
    /// The newest of them, with its verdict and its first reason.
    failed: Option<(RunId, Verdict, Option<String>)>,
    /// The newest runs that missed the targets of RTO and RPO.
    missed: [Option<(RunId, Measured)>; 2],
}

const OBJECTIVES: [&str; 2] = ["rto", "rpo"];

impl Course {
    pub(super) fn new(before: Option<Verdict>, last: Verdict) -> Self {
        Self {
            before,
            last,
            failures: 0,
            failed: None,
            missed: [None, None],
        }
    }

    pub(super) fn add(&mut self, record: &RunRecord, verdict: Verdict) {
        self.last = verdict;
        if verdict != Verdict::Passed {
            self.failures += 1;
            self.failed = Some((record.id, verdict, record.reasons.first().cloned()));
        }
        let measured = [&record.rto, &record.rpo.objective];
        for (missed, measured) in self.missed.iter_mut().zip(measured) {
            if measured.standing == Standing::Missed {
                *missed = Some((record.id, measured.clone()));
            }
        }
    }

    /// Puts it into a digest.
    pub(super) fn tell(self, drill: &str, digest: &mut Digest) {
        let drill = || drill.to_owned();
        let (before, to) = (self.before, self.last);
        if let Some(from) = before.filter(|from| *from != to) {
            let drill = drill();
            digest.changed.push(Changed { drill, from, to });
        }
        let failed = self.failed.map(|(run, verdict, reason)| Failed {
            drill: drill(),
            runs: self.failures,
            run,
            verdict,
            reason,
        });
        digest.failed.extend(failed);
        for (objective, missed) in OBJECTIVES.into_iter().zip(self.missed) {
            let missed = missed.map(|(run, measured)| MissedTarget {
                drill: drill(),
                objective,
                run,
                target_ms: measured.target_ms,
                measured_ms: measured.measured_ms,
            });
            digest.missed_targets.extend(missed);
        }
    }
}
