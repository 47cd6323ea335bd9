//! Fingerprints of the copy against those taken at the cut.

use std::collections::BTreeMap;

use super::located;
use crate::{
    domain::{
        check::{CheckKind, CheckResult, Finding},
        failure::Failure,
        fingerprint::{self as domain, Difference, Fingerprint},
    },
    engine::{
        Context,
        postgresql::{endpoint::Endpoint, fingerprint},
    },
};

const NAME: &str = "fingerprints";
const KIND: CheckKind = CheckKind::Fingerprints;

/// Takes the copy's fingerprint and compares.
///
/// # Errors
/// If the copy can't be read for a reason that is not its own.
pub async fn check(
    cx: &Context,
    endpoint: &Endpoint,
    source: Option<&Fingerprint>,
    options: &fingerprint::Options,
) -> Result<CheckResult, Failure> {
    let Some(source) = source else {
        return Ok(super::untested(
            NAME,
            KIND,
            "none were taken at the cut: the recovery point was found, not made",
        ));
    };
    let mut source = source.clone();
    source
        .tables
        .retain(|name, _| !options.exclude.contains(name));
    match fingerprint::take(cx, endpoint, None, options).await {
        Ok(copy) => {
            let differences = domain::compare(&source, &copy);
            let names = located::names(endpoint, cx.run, &source, &differences).await?;
            Ok(compare(&source, &copy, &names))
        }
        Err(failure) if failure.kind.condemns_backup() => {
            let finding = Finding::error("the copy", failure.message);
            Ok(super::concluded(
                NAME,
                KIND,
                "cannot be read",
                vec![finding],
            ))
        }
        Err(failure) => Err(failure),
    }
}

/// Compares; what was taken by another algorithm cannot be.
pub fn compare(
    source: &Fingerprint,
    copy: &Fingerprint,
    names: &BTreeMap<String, String>,
) -> CheckResult {
    if source.algorithm != copy.algorithm {
        let reason = format!(
            "taken as `{}` at the cut and as `{}` in the copy",
            source.algorithm, copy.algorithm
        );
        return super::untested(NAME, KIND, reason);
    }
    let mut findings: Vec<Finding> = domain::compare(source, copy)
        .into_iter()
        .map(|(name, difference)| {
            let mut text = describe(&difference);
            if let Some(row) = names.get(&name) {
                text = format!("{text}: the row that differs is {row}");
            }
            Finding::error(name, text)
        })
        .collect();
    for (name, reason) in source.untested.iter().chain(&copy.untested) {
        findings.push(Finding::warning(name, format!("not compared: {reason}")));
    }
    let rows: u64 = source.tables.values().map(|t| t.rows).sum();
    let summary = format!("{} tables, {rows} rows compared", source.tables.len());
    super::concluded(NAME, KIND, summary, findings)
}

fn describe(difference: &Difference) -> String {
    match difference {
        Difference::Missing { rows } => format!("is missing, with its {rows} rows"),
        Difference::Extra { rows } => format!("is not in the source; it has {rows} rows"),
        Difference::Changed {
            source_rows,
            copy_rows,
            ..
        } if source_rows != copy_rows => {
            format!("has {copy_rows} rows, had {source_rows}")
        }
        Difference::Changed { .. } => "has other content in as many rows".to_owned(),
        Difference::Sequence { low, high, copy } => {
            format!("stands at {copy}, which is not between {low} and {high}")
        }
    }
}
