//! The checks of a restored copy. Each gives one result, or several of a kind;
//! `verify` orders them.

pub mod canary;
pub mod environment;
pub mod fingerprints;
pub mod integrity;
mod located;
pub mod queries;
pub mod reader;
pub mod row_counts;
mod rows;
pub mod schema;
pub mod sequences;
pub mod views;

use crate::domain::check::{CheckKind, CheckResult, Finding, Outcome, Severity};

/// How many findings of one check are told; the rest is counted.
const MOST_FINDINGS: usize = 100;

/// A check that was not made, and why.
pub fn untested(name: &str, kind: CheckKind, reason: impl Into<String>) -> CheckResult {
    CheckResult {
        name: name.to_owned(),
        kind,
        outcome: Outcome::Untested,
        summary: reason.into(),
        findings: Vec::new(),
        elapsed_ms: 0,
    }
}

/// A check that was made: failed if a finding is an error. `summary` tells
/// what was looked at, and the errors are counted before it.
pub fn concluded(
    name: &str,
    kind: CheckKind,
    summary: impl Into<String>,
    mut findings: Vec<Finding>,
) -> CheckResult {
    findings.sort_by_key(|finding| finding.severity);
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let mut parts = Vec::new();
    match findings.first() {
        Some(only) if errors == 1 => parts.push(format!("{} {}", only.subject, only.message)),
        _ if errors > 0 => parts.push(format!("{errors} errors")),
        _ => {}
    }
    parts.push(summary.into());
    if warnings > 0 {
        parts.push(format!("{warnings} warnings"));
    }
    shorten(&mut findings);
    CheckResult {
        name: name.to_owned(),
        kind,
        outcome: if errors > 0 {
            Outcome::Fail
        } else {
            Outcome::Pass
        },
        summary: parts.join("; "),
        findings,
        elapsed_ms: 0,
    }
}

fn shorten(findings: &mut Vec<Finding>) {
    if findings.len() <= MOST_FINDINGS {
        return;
    }
    let rest = findings.len() - MOST_FINDINGS;
    let severity = findings[MOST_FINDINGS].severity;
    findings.truncate(MOST_FINDINGS);
    let subject = format!("{rest} more");
    findings.push(match severity {
        Severity::Error => Finding::error(subject, "not listed"),
        _ => Finding::warning(subject, "not listed"),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_fails_nothing_and_an_error_does() {
        let warned = concluded(
            "x",
            CheckKind::Schema,
            "s",
            vec![Finding::warning("a", "b")],
        );
        assert_eq!(warned.outcome, Outcome::Pass);
        let findings = vec![Finding::warning("a", "b"), Finding::error("c", "d")];
        let failed = concluded("x", CheckKind::Schema, "s", findings);
        assert_eq!(failed.outcome, Outcome::Fail);
        assert_eq!(failed.summary, "c d; s; 1 warnings");
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let many = (0..250)
            .map(|n| Finding::error(n.to_string(), "x"))
            .collect();
        let check = concluded("x", CheckKind::Schema, "s", many);
        assert_eq!(check.findings.len(), 101);
        assert_eq!(check.findings[100].subject, "150 more");
    }
}
