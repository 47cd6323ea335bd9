//! When somebody is told.

use serde::{Deserialize, Serialize};

use crate::domain::verdict::Verdict;

/// Why somebody is told of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// The verdict is another one than that of the run before.
    Change,
    /// It has not passed.
    Failure,
    /// It has ended.
    Every,
}

impl Occasion {
    /// Whether this is one.
    #[must_use]
    pub fn holds(self, verdict: Verdict, before: Option<Verdict>) -> bool {
        match self {
            Self::Change => before.is_some_and(|before| before != verdict),
            Self::Failure => verdict != Verdict::Passed,
            Self::Every => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_run_is_no_change() {
        use Verdict::{Failed, Inconclusive, Passed};
        for (verdict, before, change, failure) in [
            (Passed, None, false, false),
            (Passed, Some(Passed), false, false),
            (Passed, Some(Failed), true, false),
            (Failed, None, false, true),
            (Failed, Some(Failed), false, true),
            (Inconclusive, Some(Passed), true, true),
        ] {
            assert_eq!(Occasion::Change.holds(verdict, before), change);
            assert_eq!(Occasion::Failure.holds(verdict, before), failure);
            assert!(Occasion::Every.holds(verdict, before));
        }
    }
}
