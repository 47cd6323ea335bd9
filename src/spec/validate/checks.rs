//! Which checks are made.

use super::Context;
use crate::spec::{
    drill::{Checks, Equality, Expectation, QueryCheck, RowCountCheck},
    expect, raw,
    shape::shorten,
};

impl Context<'_> {
    pub(super) fn checks(&mut self, checks: raw::Checks, fresh: bool) -> Checks {
        let fingerprints = match checks.fingerprints {
            None => fresh.then_some(Equality::Typed),
            Some(raw::Fingerprints::Switch(on)) => on.then_some(Equality::Typed),
            Some(raw::Fingerprints::By(raw::FingerprintBy::Text)) => Some(Equality::Text),
            Some(raw::Fingerprints::By(raw::FingerprintBy::Fast)) => Some(Equality::Fast),
        };
        if !fresh {
            self.uncomparable(&checks);
        }
        if let Some(sql) = &checks.newest_write {
            self.text("spec.checks.newestWrite", sql);
        }
        Checks {
            fingerprints,
            schema: checks.schema.unwrap_or(fresh),
            integrity: checks.integrity.into(),
            environment: checks.environment.unwrap_or(true),
            row_counts: self.row_counts(checks.row_counts),
            queries: self.queries(checks.queries),
            newest_write: checks.newest_write,
            exclude_tables: checks.exclude_tables,
            tolerate: self.tolerated(checks.tolerate),
        }
    }

    /// Refuses comparisons with a source that is not at the backup's cut.
    fn uncomparable(&mut self, checks: &raw::Checks) {
        let off = Some(raw::Fingerprints::Switch(false));
        let fingerprints = checks.fingerprints.is_some() && checks.fingerprints != off;
        let wanted = [
            ("spec.checks.fingerprints", fingerprints),
            ("spec.checks.schema", checks.schema == Some(true)),
        ];
        for (field, _) in wanted.into_iter().filter(|(_, wanted)| *wanted) {
            let message = "an existing backup has no source at its cut to be compared with";
            let hint = "leave it out; use rowCounts and queries";
            self.error(field, message, "", hint);
        }
    }

    fn tolerated(&mut self, fragments: Vec<String>) -> Vec<String> {
        for (index, fragment) in fragments.iter().enumerate() {
            // An empty fragment is part of every message.
            self.text(&format!("spec.checks.tolerate[{index}]"), fragment);
        }
        fragments
    }

    fn row_counts(&mut self, counts: Vec<raw::RowCount>) -> Vec<RowCountCheck> {
        for (index, count) in counts.iter().enumerate() {
            let field = format!("spec.checks.rowCounts[{index}]");
            self.text(&format!("{field}.table"), &count.table);
            match (count.min, count.max) {
                (None, None) => self.error(&field, "has no bound", "`min`, `max` or both", ""),
                (Some(min), Some(max)) if min > max => {
                    let message = format!("min {min} is greater than max {max}");
                    self.error(&field, &message, "", "");
                }
                _ => {}
            }
        }
        let check = |c: raw::RowCount| RowCountCheck {
            table: c.table,
            min: c.min,
            max: c.max,
        };
        counts.into_iter().map(check).collect()
    }

    fn queries(&mut self, queries: Vec<raw::Query>) -> Vec<QueryCheck> {
        let mut checks: Vec<QueryCheck> = Vec::new();
        for (index, query) in queries.into_iter().enumerate() {
            let field = format!("spec.checks.queries[{index}]");
            self.text(&format!("{field}.name"), &query.name);
            self.text(&format!("{field}.sql"), &query.sql);
            if checks.iter().any(|other| other.name == query.name) {
                let message = format!("two queries are named `{}`", shorten(&query.name));
                self.error(&format!("{field}.name"), &message, "", "");
            }
            let expect = self.expectation(&format!("{field}.expect"), query.expect);
            checks.push(QueryCheck {
                name: query.name,
                sql: query.sql,
                expect,
            });
        }
        checks
    }

    fn expectation(&mut self, field: &str, expect: raw::Expect) -> Expectation {
        let read = match expect {
            raw::Expect::Line(line) => expect::parse(&line),
            raw::Expect::Detail(detail) => match (detail.value, detail.rows) {
                (Some(value), None) => expect::value(&value),
                (None, Some(rows)) => {
                    let cells = |row: Vec<raw::CellText>| row.into_iter().map(|c| c.0).collect();
                    Ok(Expectation::Rows(rows.into_iter().map(cells).collect()))
                }
                _ => Err("names no single expectation".to_owned()),
            },
        };
        read.unwrap_or_else(|message| {
            self.error(field, &message, expect::EXPECTED, "");
            Expectation::SomeRows
        })
    }
}
