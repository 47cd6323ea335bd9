//! What an archive should hold and does not, by its table of contents.
//!
//! `pg_dump` gives every table an entry for its rows, were there none. One
//! that is missing was left out when the archive was made.

use std::collections::BTreeSet;

use super::header::{Entry, Header};
use crate::domain::check::Finding;

const HINT: &str = "look at the options that pg_dump is called with";

/// A finding where no table has its rows in it, or a warning per table that
/// has not: that may be so on purpose.
#[must_use]
pub fn rows(header: &Header) -> Vec<Finding> {
    let of = |entry: &Entry| (entry.schema.clone(), entry.tag.clone());
    let with_rows: BTreeSet<_> = header
        .entries
        .iter()
        .filter(|entry| entry.kind == "TABLE DATA")
        .map(of)
        .collect();
    let tables: Vec<_> = header.entries.iter().filter(|e| e.ordinary).collect();
    if with_rows.is_empty() && !tables.is_empty() {
        let message = format!("holds no rows of any of its {} tables", tables.len());
        return vec![Finding::error("the backup", message).hint(HINT)];
    }
    tables
        .into_iter()
        .filter(|entry| !with_rows.contains(&of(entry)))
        .map(|entry| {
            let schema = entry.schema.as_deref().unwrap_or_default();
            let subject = format!("table {schema}.{}", entry.tag);
            Finding::warning(subject, "its rows are not in the backup").hint(HINT)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::Severity::{Error, Warning};

    fn entry(kind: &str, tag: &str) -> Entry {
        Entry {
            kind: kind.into(),
            tag: tag.into(),
            schema: Some("public".into()),
            ordinary: kind == "TABLE" && tag != "parent",
            ..Entry::default()
        }
    }

    fn told(entries: &[(&str, &str)]) -> Vec<(crate::domain::check::Severity, String)> {
        let entries = entries.iter().map(|(kind, tag)| entry(kind, tag)).collect();
        let header = Header {
            entries,
            ..Header::default()
        };
        let findings = rows(&header);
        findings
            .into_iter()
            .map(|f| (f.severity, f.subject))
            .collect()
    }

    #[test]
    fn tables_without_rows_are_told() {
        let tables = [("TABLE", "parent"), ("TABLE", "a"), ("TABLE", "b")];
        assert_eq!(told(&tables), [(Error, "the backup".to_owned())]);
        let one = [&tables[..], &[("TABLE DATA", "a")]].concat();
        assert_eq!(told(&one), [(Warning, "table public.b".to_owned())]);
        let both = [&one[..], &[("TABLE DATA", "b")]].concat();
        assert_eq!(told(&both), []);
        assert_eq!(told(&[("FUNCTION", "f")]), []);
    }
}
