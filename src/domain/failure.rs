//! Why a step could not do its work, as a value that can be stored and shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What sort of failure it was. Callers branch on this, never on the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A deadline passed.
    Timeout,
    /// Something that must be there is not.
    NotFound,
    /// Wrong credentials or missing rights.
    Denied,
    /// Somebody else's thing stands in the way.
    Conflict,
    /// The other side can't be reached, or went away.
    Unavailable,
    /// What the user gave cannot be used.
    Invalid,
    /// No space, no memory, a quota.
    Exhausted,
    /// The backup itself is bad: it can't be read, or does not load.
    BadBackup,
    /// The user asked to stop.
    Cancelled,
    /// The process that ran the drill died in the middle.
    Interrupted,
    /// A bug in Lifeboat.
    Internal,
}

impl FailureKind {
    /// Whether this failure says that the *backup* is no good, as opposed to
    /// the machinery having been unable to find out.
    #[must_use]
    pub fn condemns_backup(self) -> bool {
        matches!(self, Self::BadBackup)
    }
}

/// A failed step: what went wrong, what to do, and how things looked.
///
/// Texts are lower-case fragments without a full stop and hold no secrets and
/// no data rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error, JsonSchema)]
#[error("{message}")]
pub struct Failure {
    pub kind: FailureKind,
    /// What went wrong and where, such as `pg_dump ended with status 1: …`.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How the outside world looked: last log lines, states, free space.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnosis: Vec<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            diagnosis: Vec::new(),
        }
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds lines that show how things looked.
    #[must_use]
    pub fn diagnosis(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.diagnosis.extend(lines);
        self
    }

    /// Puts what was being done in front: `{doing}: {message}`.
    #[must_use]
    pub fn context(mut self, doing: impl std::fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

/// Things that were tried beside each other: fails with all that went wrong.
///
/// # Errors
/// Of the first one's kind.
pub fn together(tried: impl IntoIterator<Item = Result<(), Failure>>) -> Result<(), Failure> {
    let mut failures = tried.into_iter().filter_map(Result::err);
    let Some(mut all) = failures.next() else {
        return Ok(());
    };
    for other in failures {
        all.message = format!("{}; {}", all.message, other.message);
        all.diagnosis.extend(other.diagnosis);
        all.hint = match (all.hint, other.hint) {
            (Some(one), Some(two)) if one != two => Some(format!("{one}; {two}")),
            (one, two) => one.or(two),
        };
    }
    Err(all)
}

/// An error with all its causes, each told once.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_beside_each_other_is_told_as_one() {
        assert_eq!(together([Ok(()), Ok(())]), Ok(()));
        let one = Failure::new(FailureKind::Timeout, "a stays").hint("wait");
        let two = Failure::new(FailureKind::Denied, "b stays").hint("ask");
        let all = together([Ok(()), Err(one.clone()), Err(one), Err(two)]).unwrap_err();
        assert_eq!(all.kind, FailureKind::Timeout);
        assert_eq!(all.message, "a stays; a stays; b stays");
        assert_eq!(all.hint.as_deref(), Some("wait; ask"));
    }
}
