//! Checks of the restored data and what they found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failure::Failure;

/// One validation of the restored data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckResult {
    /// Unique within the run, such as `fingerprints` or `query: newest order`.
    pub name: String,
    pub kind: CheckKind,
    pub outcome: Outcome,
    /// One line that says what was looked at, or what is wrong.
    pub summary: String,
    /// The single findings, worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    pub elapsed_ms: u64,
}

/// What a check looks at; decides which strength of proof it adds to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// Fingerprints equal those taken at the cut.
    Fingerprints,
    /// The schema is the same.
    Schema,
    /// Acknowledged canary writes are there.
    Canary,
    /// The engine's own integrity checks.
    Integrity,
    /// Everything in the backup loaded without error.
    Load,
    /// Extensions, collations, encoding, locale, roles.
    Environment,
    /// Row counts within bounds.
    RowCount,
    /// The user's own query.
    Query,
}

/// How a check ended. A skip is never a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Pass,
    Fail,
    /// Not done; the summary says why.
    Untested,
}

/// One thing that a check or preflight found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    pub severity: Severity,
    /// The object concerned, such as `table public.orders`.
    pub subject: String,
    /// What is the matter with it.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// How much a finding matters.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Fails the check.
    Error,
    /// Worth knowing; fails nothing.
    Warning,
    /// As it should be.
    Ok,
}

impl Finding {
    /// A finding that fails its check.
    pub fn error(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, subject, message)
    }

    /// A finding that fails nothing.
    pub fn warning(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, subject, message)
    }

    /// All is well with the subject.
    pub fn ok(subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Ok, subject, message)
    }

    /// What went wrong when the subject was looked at.
    pub fn failed(subject: impl Into<String>, failure: &Failure) -> Self {
        Self {
            hint: failure.hint.clone(),
            ..Self::error(subject, failure.message.clone())
        }
    }

    fn new(severity: Severity, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity,
            subject: subject.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// How strongly the run proves that the data is right, strongest first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// Fingerprints taken at the cut equal those of the copy.
    Exact,
    /// Every acknowledged canary write before the cut is in the copy.
    Canary,
    /// The engine's integrity checks found nothing.
    Structural,
    /// The user's queries and bounds hold.
    Asserted,
    /// Nothing was proven.
    None,
}

impl Proof {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::Exact,
        Self::Canary,
        Self::Structural,
        Self::Asserted,
        Self::None,
    ];

    /// The strongest proof that the passed checks give. A failed check of a
    /// kind gives no proof of that kind.
    #[must_use]
    pub fn reached(checks: &[CheckResult]) -> Self {
        let proven = |kinds: &[CheckKind]| {
            let mut of_kind = checks.iter().filter(|c| kinds.contains(&c.kind)).peekable();
            of_kind.peek().is_some() && of_kind.all(|c| c.outcome == Outcome::Pass)
        };
        let ladder: [(&[CheckKind], Self); 4] = [
            (&[CheckKind::Fingerprints], Self::Exact),
            (&[CheckKind::Canary], Self::Canary),
            (&[CheckKind::Integrity], Self::Structural),
            (&[CheckKind::Query, CheckKind::RowCount], Self::Asserted),
        ];
        ladder
            .into_iter()
            .find_map(|(kinds, proof)| proven(kinds).then_some(proof))
            .unwrap_or(Self::None)
    }

    /// The name in JSON and texts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Canary => "canary",
            Self::Structural => "structural",
            Self::Asserted => "asserted",
            Self::None => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: CheckKind, outcome: Outcome) -> CheckResult {
        CheckResult {
            name: format!("{kind:?}"),
            kind,
            outcome,
            summary: String::new(),
            findings: Vec::new(),
            elapsed_ms: 0,
        }
    }

    #[test]
    fn an_untested_or_failed_check_proves_nothing() {
        let checks = [
            check(CheckKind::Fingerprints, Outcome::Untested),
            check(CheckKind::Canary, Outcome::Fail),
            check(CheckKind::Integrity, Outcome::Pass),
            check(CheckKind::Query, Outcome::Pass),
        ];
        assert_eq!(Proof::reached(&checks), Proof::Structural);
        assert_eq!(Proof::reached(&[]), Proof::None);
    }
}
