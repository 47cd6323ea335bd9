//! The user's own queries, and the query that tells the newest write.

use jiff::Timestamp;

use super::reader::Reader;
use crate::{
    domain::{
        check::{CheckKind, CheckResult, Finding},
        failure::{Failure, FailureKind},
    },
    engine::expect,
    spec::drill::QueryCheck,
};

const KIND: CheckKind = CheckKind::Query;

const NEWEST_WRITE: &str = "query: newest write";

/// Asks the query and compares with what it must give.
///
/// # Errors
/// If the copy can't be reached, or the query takes too long.
pub async fn check(
    reader: &Reader,
    query: &QueryCheck,
    declared: Timestamp,
) -> Result<CheckResult, Failure> {
    let name = format!("query: {}", query.name);
    let judged = match reader.ask(&query.sql).await {
        Ok(answer) => expect::judge(&query.expect, &answer, declared),
        Err(failure) => Err(own_fault(failure, &name)?),
    };
    Ok(result(&name, judged))
}

/// Asks for the newest write.
///
/// # Errors
/// As [`check`].
pub async fn newest_write(
    reader: &Reader,
    sql: &str,
) -> Result<(CheckResult, Option<Timestamp>), Failure> {
    let found = match reader.ask(sql).await {
        Ok(answer) => expect::single_instant(&answer),
        Err(failure) => Err(own_fault(failure, NEWEST_WRITE)?),
    };
    let newest = found.as_ref().ok().copied();
    let judged = found.map(|at| format!("is {at}"));
    Ok((result(NEWEST_WRITE, judged), newest))
}

fn result(name: &str, judged: Result<String, String>) -> CheckResult {
    match judged {
        Ok(found) => super::concluded(name, KIND, found, Vec::new()),
        Err(wrong) => {
            let findings = vec![Finding::error("the query", wrong)];
            super::concluded(name, KIND, "not as expected", findings)
        }
    }
}

/// The message, where the failure is the query's or the copy's own; itself
/// where the machinery is at fault in the check `name`.
pub(super) fn own_fault(failure: Failure, name: &str) -> Result<String, Failure> {
    match failure.kind {
        FailureKind::Timeout
        | FailureKind::Cancelled
        | FailureKind::Unavailable
        | FailureKind::Exhausted => Err(failure.context(name)),
        _ => Ok(failure.message),
    }
}
