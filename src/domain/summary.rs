//! A run on one line: what a list tells of it.
//!
//! Most of a record is checks, steps and figures that no list tells. To read only
//! what is told takes a fraction of the time.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{
    check::Proof,
    ids::RunId,
    objective::{Measured, RpoBasis},
    record::RunRecord,
    resource::WorkloadRef,
    verdict::{Cleanup, Verdict},
};

/// A part of a [`RunRecord`], read from the same JSON.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RunSummary {
    pub id: RunId,
    pub drill: String,
    pub engine: String,
    #[serde(default)]
    pub workload: Option<WorkloadRef>,
    pub requested_at: Timestamp,
    #[serde(default)]
    pub scheduled_for: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub verdict: Option<Verdict>,
    pub reasons: Vec<String>,
    pub negative_control: bool,
    pub proof: Proof,
    pub rto: Measured,
    pub rpo: RecoveryPointSummed,
    /// Whether nothing is left of it.
    #[serde(rename = "cleanup", deserialize_with = "is_clean")]
    pub clean: bool,
}

/// The measured recovery point, without the figures that it was chosen from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RecoveryPointSummed {
    #[serde(flatten)]
    pub objective: Measured,
    pub basis: Option<RpoBasis>,
}

impl From<&RunRecord> for RunSummary {
    fn from(record: &RunRecord) -> Self {
        Self {
            id: record.id,
            drill: record.drill.clone(),
            engine: record.engine.clone(),
            workload: record.workload.clone(),
            requested_at: record.requested_at,
            scheduled_for: record.scheduled_for,
            finished_at: record.finished_at,
            verdict: record.verdict,
            reasons: record.reasons.clone(),
            negative_control: record.negative_control,
            proof: record.proof,
            rto: record.rto.clone(),
            rpo: RecoveryPointSummed {
                objective: record.rpo.objective.clone(),
                basis: record.rpo.basis,
            },
            clean: record.cleanup == Cleanup::Clean,
        }
    }
}

/// Without what is left.
fn is_clean<'de, D: Deserializer<'de>>(cleanup: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    struct How {
        state: String,
    }
    let how = How::deserialize(cleanup)?;
    Ok(how.state == "clean")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::resource::ClusterRef;

    #[test]
    fn what_is_read_is_a_part_of_the_record() {
        let at = Timestamp::UNIX_EPOCH;
        let mut record = RunRecord::requested(RunId::new(at), "shop", "sqlite", at);
        let same = |record: &RunRecord| {
            let text = serde_json::to_string(record).unwrap();
            let read: RunSummary = serde_json::from_str(&text).unwrap();
            assert_eq!(read, RunSummary::from(record), "{text}");
        };
        same(&record);
        record.workload = Some(WorkloadRef {
            cluster: ClusterRef::default(),
            namespace: "shop".to_owned(),
            stateful_set: "db".to_owned(),
        });
        record.scheduled_for = Some(at);
        record.finished_at = Some(at);
        record.verdict = Some(Verdict::Failed);
        record.reasons = vec!["it is \"late\"".to_owned()];
        record.rto.measured_ms = Some(7);
        record.rpo.objective.note = Some("a note".to_owned());
        record.rpo.basis = Some(RpoBasis::Canary);
        record.rpo.worst_case_ms = Some(9);
        for cleanup in [
            Cleanup::Clean,
            Cleanup::Elsewhere {
                host: "a".to_owned(),
            },
        ] {
            record.cleanup = cleanup;
            same(&record);
        }
    }
}
