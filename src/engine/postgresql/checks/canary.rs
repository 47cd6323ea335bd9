//! The canary: every write acknowledged before the cut has to be in the copy.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::{
    domain::{
        canary::{CanaryLog, CanaryOutcome},
        check::{CheckKind, CheckResult, Finding},
        failure::{Failure, FailureKind},
    },
    engine::postgresql::session::Session,
};

const NAME: &str = "canary";
const KIND: CheckKind = CheckKind::Canary;

/// Looks for every acknowledged write.
///
/// # Errors
/// If the copy can't be asked.
pub async fn check(
    session: &Session,
    log: &CanaryLog,
) -> Result<(CheckResult, Option<CanaryOutcome>), Failure> {
    let sql = format!(
        "SELECT sequence, (extract(epoch from written_at) * 1000000)::bigint FROM {} \
         WHERE sequence BETWEEN $1 AND $2",
        log.table
    );
    let numbers = || log.before_cut.iter().map(|write| write.sequence);
    let (Some(first), Some(last)) = (numbers().min(), numbers().max()) else {
        let reason = "no write was acknowledged before the cut";
        return Ok((super::untested(NAME, KIND, reason), None));
    };
    let rows = match session
        .rows("read the canary table", &sql, &[&first, &last])
        .await
    {
        Ok(rows) => rows,
        Err(failure) if failure.kind == FailureKind::NotFound || failure.kind.condemns_backup() => {
            return Ok(unreadable(log, failure));
        }
        Err(failure) => return Err(failure),
    };
    let present: BTreeSet<i64> = rows.iter().map(|row| row.get(0)).collect();
    let newest = rows
        .iter()
        .filter_map(|row| row.get::<_, Option<i64>>(1))
        .max()
        .and_then(|micros| Timestamp::from_microsecond(micros).ok());
    Ok(conclude(log, &present, newest))
}

fn unreadable(log: &CanaryLog, failure: Failure) -> (CheckResult, Option<CanaryOutcome>) {
    let finding = Finding::error(format!("canary table {}", log.table), failure.message);
    let outcome = CanaryOutcome {
        acknowledged: log.before_cut.len() as u64,
        lost: log.before_cut.iter().map(|write| write.sequence).collect(),
        newest: None,
    };
    let check = super::concluded(NAME, KIND, "cannot be read in the copy", vec![finding]);
    (check, Some(outcome))
}

fn conclude(
    log: &CanaryLog,
    present: &BTreeSet<i64>,
    newest: Option<Timestamp>,
) -> (CheckResult, Option<CanaryOutcome>) {
    let total = log.before_cut.len();
    let mut lost = Vec::new();
    let mut findings = Vec::new();
    for (index, write) in log.before_cut.iter().enumerate() {
        if present.contains(&write.sequence) {
            continue;
        }
        lost.push(write.sequence);
        let subject = format!("canary write {} of {total}", index + 1);
        let message = format!(
            "with sequence number {}, acknowledged at {}, is not in the copy",
            write.sequence, write.at
        );
        findings.push(Finding::error(subject, message));
    }
    let summary = format!(
        "{} of {total} writes acknowledged before the cut are in the copy",
        total - lost.len()
    );
    let outcome = CanaryOutcome {
        acknowledged: total as u64,
        lost,
        newest,
    };
    (
        super::concluded(NAME, KIND, summary, findings),
        Some(outcome),
    )
}
