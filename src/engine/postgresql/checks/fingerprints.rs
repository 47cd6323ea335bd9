//! Fingerprints of the copy against those taken at the cut.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    MOST_FINDINGS, located,
    rows::{self, Compared},
};
use crate::{
    domain::{
        check::{CheckKind, CheckResult, Finding},
        failure::Failure,
        fingerprint::{self as domain, Difference, Fingerprint},
    },
    engine::{
        Context,
        postgresql::{
            endpoint::Endpoint,
            fingerprint::{self, Options},
            restore::Work,
            session::Session,
        },
        unlooked,
    },
};

const NAME: &str = "fingerprints";
const KIND: CheckKind = CheckKind::Fingerprints;

/// Why a backup that was found is not compared.
pub const NONE: &str = "none were taken at the cut: the recovery point was found, not made";

/// Tables whose rows are compared with the recovery point's; of more, the
/// weighted sums alone are asked.
const LOOKED_INTO: usize = 5;

/// Takes the copy's fingerprint and compares. Where tables differ, their rows
/// are looked for in what the recovery point holds, by way of `work`. Tables
/// that the drill has `left_out` are named.
///
/// # Errors
/// If the copy can't be read for a reason that is not its own.
pub(in crate::engine::postgresql) async fn check(
    cx: &Context,
    endpoint: &Endpoint,
    source: Option<&Fingerprint>,
    options: &Options<'_>,
    left_out: &[String],
    work: &Work<'_>,
) -> Result<CheckResult, Failure> {
    let Some(source) = source else {
        return Ok(super::untested(NAME, KIND, NONE));
    };
    let source = without(source, &options.exclude);
    let options = Options {
        locate: false,
        like: Some(&source),
        ..options.clone()
    };
    match fingerprint::take(cx, endpoint, None, &options).await {
        Ok(copy) => {
            let comparison = Comparison {
                cx,
                endpoint,
                source: &source,
                options: &options,
            };
            let names = comparison.names(work, &copy).await?;
            let mut check = compare(&source, &copy, &names);
            check.summary.push_str(&unlooked(left_out));
            Ok(check)
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

/// Copied only where something is left out: there can be very many tables.
fn without<'a>(source: &'a Fingerprint, excluded: &[String]) -> Cow<'a, Fingerprint> {
    let mut source = Cow::Borrowed(source);
    for name in excluded {
        if source.tables.contains_key(name) {
            source.to_mut().tables.remove(name);
        }
    }
    source
}

struct Comparison<'a> {
    cx: &'a Context,
    endpoint: &'a Endpoint,
    source: &'a Fingerprint,
    options: &'a Options<'a>,
}

impl Comparison<'_> {
    /// For each table that differs, which rows do, as far as that can be said.
    async fn names(
        &self,
        work: &Work<'_>,
        copy: &Fingerprint,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let changed: Vec<String> = domain::compare(self.source, copy)
            .into_iter()
            .filter(|(_, difference)| matches!(difference, Difference::Changed { .. }))
            .map(|(name, _)| name)
            .filter(|name| self.source.tables.contains_key(name))
            .collect();
        let mut names = BTreeMap::new();
        if changed.is_empty() || self.source.algorithm != copy.algorithm {
            return Ok(names);
        }
        let session = Session::open(self.endpoint, self.cx.run).await?;
        let mut others = BTreeMap::new();
        for (place, table) in changed.into_iter().take(MOST_FINDINGS).enumerate() {
            if place >= LOOKED_INTO {
                let why = format!("not looked into: more than {LOOKED_INTO} tables differ");
                others.insert(table, why);
                continue;
            }
            let looked = rows::differing(work, &session, &table);
            match tokio::time::timeout(rows::PATIENCE, looked).await {
                Ok(Ok(Compared::Rows(rows))) => {
                    names.insert(table, rows);
                }
                Ok(Ok(Compared::Same(why))) => {
                    others.insert(table, why.to_owned());
                }
                Ok(Err(failure)) => {
                    let why = format!("not compared with the recovery point's rows: {failure}");
                    others.insert(table, why);
                }
                Err(_) => {
                    let why = "comparing it with the recovery point's rows took too long";
                    others.insert(table, why.to_owned());
                }
            }
        }
        names.extend(self.located(others).await?);
        Ok(names)
    }

    /// Where the recovery point cannot name the rows, the weighted sums still
    /// can, if it is one.
    async fn located(
        &self,
        tables: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        if tables.is_empty() {
            return Ok(tables);
        }
        let only: Vec<String> = tables.keys().cloned().collect();
        let options = Options {
            locate: true,
            only: Some(&only),
            ..self.options.clone()
        };
        let weighed = fingerprint::take(self.cx, self.endpoint, None, &options).await?;
        let differences = domain::compare(self.source, &weighed);
        let run = self.cx.run;
        let rows = located::names(self.endpoint, run, self.source, &differences).await?;
        let told = tables.into_iter().map(|(table, why)| {
            let text = match rows.get(&table) {
                Some(row) => format!("the row that differs is {row}; {why}"),
                None => why,
            };
            (table, text)
        });
        Ok(told.collect())
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
            if let Some(rows) = names.get(&name) {
                text = format!("{text}: {rows}");
            }
            Finding::error(name, text)
        })
        .collect();
    // Most are so on both sides, for the same reason.
    let untested: BTreeSet<_> = source.untested.iter().chain(&copy.untested).collect();
    for (name, reason) in untested {
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
