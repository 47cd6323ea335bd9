//! All checks of a restored copy.

use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::Connection;

use super::{
    SqliteEngine, canary,
    connection::{go_on, lift_limit, pragma, quote, read_only},
    differ, fingerprint, integrity, inventory, query, restore,
};
use crate::{
    domain::{
        canary::CanaryOutcome,
        check::{CheckKind, CheckResult, Finding, Outcome, Severity},
        event::EventKind,
        failure::Failure,
        fingerprint::{Difference, compare},
        objective::{RpoBasis, millis},
        recovery_point::{Ownership, RecoveryPoint},
    },
    engine::{Context, Instance, NewestWrite, Verification, expect, unlooked},
    spec::drill::Integrity,
};

/// What a check gave: a summary and findings, or why it was not made.
type Checked = Result<(String, Vec<Finding>), String>;

struct Verifier<'a> {
    engine: &'a SqliteEngine,
    cx: &'a Context,
    point: &'a RecoveryPoint,
    copy: Connection,
    file: PathBuf,
    checks: Vec<CheckResult>,
}

pub(super) fn verify(
    engine: &SqliteEngine,
    cx: &Context,
    (point, declared_at): (&RecoveryPoint, Timestamp),
    instance: &Instance,
) -> Result<Verification, Failure> {
    let file = restore::file(instance)?;
    let copy = read_only(cx, &file)?;
    let mut all = Verifier {
        engine,
        cx,
        point,
        copy,
        file,
        checks: Vec::new(),
    };
    all.check(
        "fingerprints",
        CheckKind::Fingerprints,
        Verifier::fingerprints,
    )?;
    all.check("schema", CheckKind::Schema, Verifier::schema)?;
    all.check("integrity", CheckKind::Integrity, Verifier::integrity)?;
    all.check("environment", CheckKind::Environment, Verifier::environment)?;
    for bounds in &engine.checks.row_counts {
        let name = format!("rows: {}", bounds.table);
        all.check(&name, CheckKind::RowCount, |v| v.row_count(bounds))?;
    }
    for wanted in &engine.checks.queries {
        let name = format!("query: {}", wanted.name);
        all.check(&name, CheckKind::Query, |v| {
            let answered = query::ask(v.cx, &v.copy, &wanted.sql).map_err(|f| f.message);
            let result = answered.and_then(|a| expect::judge(&wanted.expect, &a, declared_at));
            Ok(Ok(answer(&wanted.name, result)))
        })?;
    }
    let canary = all.canary()?;
    let mut newest_writes = Vec::new();
    if let Some(at) = canary.as_ref().and_then(|canary| canary.newest) {
        newest_writes.push(NewestWrite {
            basis: RpoBasis::Canary,
            at,
        });
    }
    if let Some(sql) = &engine.checks.newest_write {
        match newest(cx, &all.copy, sql) {
            Ok(at) => newest_writes.push(NewestWrite {
                basis: RpoBasis::Query,
                at,
            }),
            Err(why) => all.check("newest write", CheckKind::Query, |_| {
                Ok(Ok((why.clone(), vec![Finding::error("newest write", why)])))
            })?,
        }
    }
    Ok(Verification {
        checks: all.checks,
        canary,
        newest_writes,
    })
}

fn newest(cx: &Context, copy: &Connection, sql: &str) -> Result<Timestamp, String> {
    let answer = query::ask(cx, copy, sql).map_err(|failure| failure.message)?;
    expect::single_instant(&answer)
}

fn answer(name: &str, result: Result<String, String>) -> (String, Vec<Finding>) {
    match result {
        Ok(found) => (found, Vec::new()),
        Err(why) => (
            why.clone(),
            vec![Finding::error(format!("query {name}"), why)],
        ),
    }
}

impl Verifier<'_> {
    /// Makes a check, and tells it. An SQL error in it is a finding: the copy
    /// could not be read.
    fn check(
        &mut self,
        name: &str,
        kind: CheckKind,
        make: impl FnOnce(&Self) -> rusqlite::Result<Checked>,
    ) -> Result<(), Failure> {
        go_on(self.cx)?;
        let began = self.cx.clock.monotonic();
        let lifted = lift_limit(self.cx, &self.copy);
        let result = lifted.and_then(|()| make(self)).unwrap_or_else(|error| {
            let message = error.to_string();
            if needs_application(&message) {
                return Err(message);
            }
            Ok((message.clone(), vec![Finding::error("database", message)]))
        });
        go_on(self.cx)?;
        let (outcome, summary, mut findings) = match result {
            Err(why) => (Outcome::Untested, why, Vec::new()),
            Ok((summary, findings)) if findings.iter().any(|f| f.severity == Severity::Error) => {
                (Outcome::Fail, summary, findings)
            }
            Ok((summary, findings)) => (Outcome::Pass, summary, findings),
        };
        findings.sort_by_key(|finding| finding.severity);
        let elapsed = self.cx.clock.monotonic().saturating_sub(began);
        let check = CheckResult {
            name: name.to_owned(),
            kind,
            outcome,
            summary,
            findings,
            elapsed_ms: millis(elapsed),
        };
        self.cx.events.emit(EventKind::CheckDone {
            check: check.clone(),
        });
        self.checks.push(check);
        Ok(())
    }

    /// Whether somebody else made the backup. Then there is nothing that it
    /// could be compared with, whatever the drill says.
    fn is_found(&self) -> bool {
        self.point.ownership == Ownership::Borrowed
    }

    fn fingerprints(&self) -> rusqlite::Result<Checked> {
        if self.engine.checks.fingerprints.is_none() && !self.is_found() {
            return Ok(Err("switched off".to_owned()));
        }
        let Some(source) = &self.point.fingerprint else {
            return Ok(Err(
                "the backup was found: no fingerprint of its cut is known".to_owned(),
            ));
        };
        if source.algorithm != fingerprint::ALGORITHM {
            return Ok(Err(format!(
                "taken by another algorithm, {}",
                source.algorithm
            )));
        }
        let tables = fingerprint::tables(&self.copy, &self.engine.left_out())?;
        let taken = fingerprint::take_parallel(
            self.cx,
            (&self.copy, &self.file),
            &tables,
            self.engine.verify_jobs,
        );
        let copy = match taken {
            Ok(copy) => copy,
            Err(failure) => return Ok(Err(failure.message)),
        };
        let mut findings = Vec::new();
        for (name, why) in &copy.untested {
            findings.push(Finding::error(
                format!("table {name}"),
                format!("not readable: {why}"),
            ));
        }
        for (name, difference) in compare(source, &copy) {
            let unread = copy.untested.contains_key(&name) || source.untested.contains_key(&name);
            if !unread {
                findings.push(self.difference(&name, &difference, &tables));
            }
        }
        for name in source
            .sequences
            .keys()
            .filter(|name| !copy.sequences.contains_key(*name))
        {
            findings.push(Finding::error(name, "is missing"));
        }
        if findings.is_empty() && !source.untested.is_empty() {
            let names: Vec<_> = source.untested.keys().map(String::as_str).collect();
            return Ok(Err(format!(
                "not fingerprinted at the cut: {}",
                names.join(", ")
            )));
        }
        let rows: u64 = copy.tables.values().map(|table| table.rows).sum();
        let left_out = unlooked(&self.engine.checks.exclude_tables);
        let summary = format!("{} tables, {rows} rows{left_out}", copy.tables.len());
        Ok(Ok((summary, findings)))
    }

    fn difference(
        &self,
        name: &str,
        difference: &Difference,
        tables: &[fingerprint::Table],
    ) -> Finding {
        let message = match difference {
            Difference::Missing { rows } => format!("is missing, with {rows} rows"),
            Difference::Extra { rows } => format!("is extra, with {rows} rows"),
            Difference::Sequence { low, copy, .. } => format!("stands at {copy} instead of {low}"),
            Difference::Changed {
                source_rows,
                copy_rows,
                located,
            } => {
                let table = tables.iter().find(|table| table.quoted() == name);
                let named = table.map(|table| self.named(table)).unwrap_or_default();
                let lead = located.map(|key| format!("probably the row with key {key}"));
                let which = if named.is_empty() {
                    lead.unwrap_or_default()
                } else {
                    named.join("; ")
                };
                format!("{source_rows} rows at the cut, {copy_rows} in the copy: {which}")
            }
        };
        let subject = if matches!(difference, Difference::Sequence { .. }) {
            name.to_owned()
        } else {
            format!("table {name}")
        };
        Finding::error(subject, message)
    }

    /// The differing rows, looked up in the backup where this run made it.
    fn named(&self, table: &fingerprint::Table) -> Vec<String> {
        if self.is_found() {
            return Vec::new();
        }
        let backup = self.point.artifact.path();
        backup
            .and_then(|backup| read_only(self.cx, backup))
            .ok()
            .and_then(|backup| differ::rows(self.cx, &backup, &self.copy, table).ok())
            .unwrap_or_default()
    }

    fn schema(&self) -> rusqlite::Result<Checked> {
        use crate::domain::inventory::SchemaDifference as Differs;
        if !self.engine.checks.schema && !self.is_found() {
            return Ok(Err("switched off".to_owned()));
        }
        let Some(source) = &self.point.inventory else {
            return Ok(Err(
                "the backup was found: the source's schema is not known".to_owned(),
            ));
        };
        let copy = inventory::take(&self.copy)?;
        let finding = |found: &Differs| {
            let message = match found {
                Differs::Missing { .. } => "is missing".to_owned(),
                Differs::Extra { .. } => "is extra".to_owned(),
                Differs::Changed { facet, .. } => format!("its {facet} is not the same"),
            };
            Finding::error(found.object().to_string(), message)
        };
        let findings = source.differences(&copy).iter().map(finding).collect();
        Ok(Ok((format!("{} objects", copy.len()), findings)))
    }

    fn integrity(&self) -> rusqlite::Result<Checked> {
        let depth = self.engine.checks.integrity;
        if depth == Integrity::Off {
            return Ok(Err("switched off".to_owned()));
        }
        let mut findings = integrity::check(&self.copy, depth)?;
        let mut orphans = integrity::foreign_keys(&self.copy)?;
        // With equal fingerprints the source has the same orphans.
        let exact = self
            .checks
            .iter()
            .any(|check| check.kind == CheckKind::Fingerprints && check.outcome == Outcome::Pass);
        if exact {
            for orphan in &mut orphans {
                orphan.severity = Severity::Warning;
                orphan.message.push_str(", in the source neither");
            }
        }
        findings.extend(orphans);
        let name = if depth == Integrity::Full {
            "integrity_check"
        } else {
            "quick_check"
        };
        Ok(Ok((format!("{name} and foreign_key_check"), findings)))
    }

    fn environment(&self) -> rusqlite::Result<Checked> {
        if !self.engine.checks.environment {
            return Ok(Err("switched off".to_owned()));
        }
        let mut findings = Vec::new();
        for name in ["page_size", "encoding", "auto_vacuum"] {
            let copy = pragma(&self.copy, name)?;
            if let Some(source) = self.point.details.get(name)
                && *source != copy
            {
                let message = format!("is {copy}, was {source}");
                findings.push(Finding::error(format!("setting {name}"), message));
            }
        }
        Ok(Ok((
            "page size, encoding, auto_vacuum".to_owned(),
            findings,
        )))
    }

    fn row_count(&self, bounds: &crate::spec::drill::RowCountCheck) -> rusqlite::Result<Checked> {
        let sql = format!(
            "select count(*) from main.{} not indexed",
            quote(&bounds.table)
        );
        let rows: i64 = self.copy.query_row(&sql, [], |row| row.get(0))?;
        let rows = rows.unsigned_abs();
        let low = bounds.min.is_some_and(|min| rows < min);
        let high = bounds.max.is_some_and(|max| rows > max);
        let mut findings = Vec::new();
        if low || high {
            let message = format!("{rows} rows are out of bounds");
            findings.push(Finding::error(format!("table {}", bounds.table), message));
        }
        Ok(Ok((format!("{rows} rows"), findings)))
    }

    fn canary(&mut self) -> Result<Option<CanaryOutcome>, Failure> {
        let Some(log) = &self.point.canary else {
            if self.engine.canary.is_some() {
                self.check("canary", CheckKind::Canary, |_| {
                    Ok(Err("the backup was found: it has no canary log".to_owned()))
                })?;
            }
            return Ok(None);
        };
        let outcome = canary::outcome(self.cx, &self.copy, log)?;
        let told = outcome.clone();
        self.check("canary", CheckKind::Canary, move |_| {
            Ok(Ok(canary::findings(&told)))
        })?;
        Ok(Some(outcome))
    }
}

/// Whether SQL fails for what only the application brings along: then nothing
/// is known about the copy.
fn needs_application(message: &str) -> bool {
    [
        "no such collation sequence",
        "no such function",
        "no such module",
        "unknown function",
    ]
    .iter()
    .any(|lack| message.contains(lack))
}
