//! The demo's negative control: what it spoils, and whether that was found out.

use anyhow::{Context as _, ensure};

use crate::{
    domain::{
        check::{CheckResult, Outcome, Severity},
        record::RunRecord,
    },
    engine::Fault,
};

/// One fault and how it shows.
struct Control {
    fault: Fault,
    /// The check that must notice.
    check: &'static str,
    /// Stands before the name of what was spoilt, where the record tells it.
    before_name: &'static str,
}

const CONTROLS: [Control; 3] = [
    Control {
        fault: Fault::RowByte,
        check: "fingerprints",
        before_name: " in ",
    },
    Control {
        fault: Fault::CanaryWrite,
        check: "canary",
        before_name: " sequence number ",
    },
    Control {
        fault: Fault::Index,
        check: "integrity",
        before_name: " index ",
    },
];

/// What is spoilt.
pub(super) fn faults() -> [Fault; 3] {
    CONTROLS.map(|control| control.fault)
}

/// Whether the checks that must notice did, each naming what was spoilt, and no
/// other one failed.
///
/// # Errors
/// If not.
pub(super) fn is_found_out(record: &RunRecord) -> anyhow::Result<()> {
    let failed = |check: &&CheckResult| check.outcome == Outcome::Fail;
    let mut noticed: Vec<&str> = record.checks.iter().filter(failed).map(name).collect();
    let mut expected = CONTROLS.map(|control| control.check);
    noticed.sort_unstable();
    expected.sort_unstable();
    ensure!(
        noticed == expected,
        "the negative control was to fail {expected:?} and failed {noticed:?}"
    );
    ensure!(
        record.planted.len() == CONTROLS.len(),
        "the negative control was to spoil {} things and spoilt {:?}",
        CONTROLS.len(),
        record.planted
    );
    for (control, planted) in CONTROLS.iter().zip(&record.planted) {
        let spoilt = spoilt(planted, control)?;
        let check = record
            .checks
            .iter()
            .find(|check| name(check) == control.check);
        ensure!(
            check.is_some_and(|check| names(check, spoilt)),
            "check {} failed, but does not name {spoilt}: {planted}",
            control.check
        );
    }
    Ok(())
}

fn name(check: &CheckResult) -> &str {
    check.name.as_str()
}

/// The name of what was spoilt.
fn spoilt<'a>(planted: &'a str, control: &Control) -> anyhow::Result<&'a str> {
    let rest = planted.split(control.before_name).nth(1);
    rest.and_then(|rest| rest.split_whitespace().next())
        .with_context(|| format!("it is not told what was spoilt: {planted}"))
}

/// Whether an error of the check has that word in it.
fn names(check: &CheckResult, spoilt: &str) -> bool {
    let errors = check.findings.iter();
    errors
        .filter(|finding| finding.severity == Severity::Error)
        .flat_map(|finding| [&finding.subject, &finding.message])
        .flat_map(|text| text.split_whitespace())
        .any(|word| word.trim_end_matches([',', ':', ';']) == spoilt)
}
