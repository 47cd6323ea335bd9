//! Which runs are asked for.

use std::{collections::BTreeSet, str::FromStr};

use jiff::Timestamp;

use crate::domain::{ids::RunId, record::RunRecord, verdict::Verdict};

/// Which runs are asked for: those that fit all that is said here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of these drills only.
    pub drills: Option<Vec<String>>,
    /// Whose verdict is one of these.
    pub conclusions: Option<BTreeSet<Conclusion>>,
    /// Requested then or later.
    pub since: Option<Timestamp>,
    /// Requested before.
    pub until: Option<Timestamp>,
    /// Whether the copy was spoilt on purpose.
    pub negative_control: Option<bool>,
    /// Only those that come after this one in the list.
    pub after: Option<Place>,
    /// At most so many; all where absent.
    pub limit: Option<u32>,
}

/// A run's place in a list, where the newest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub requested_at: Timestamp,
    pub id: RunId,
}

/// A verdict, or that none is drawn yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conclusion {
    None,
    As(Verdict),
}

/// What is no verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a verdict: use passed, failed, inconclusive, or none for runs without one")]
pub struct NoVerdict(String);

impl Filter {
    /// Whether a run is one of those, wherever it stands in the list.
    #[must_use]
    pub fn fits(&self, record: &RunRecord) -> bool {
        let among = |drills: &Vec<String>| drills.contains(&record.drill);
        let conclusion = Conclusion::of(record.verdict);
        let drawn = |all: &BTreeSet<Conclusion>| all.contains(&conclusion);
        self.drills.as_ref().is_none_or(among)
            && self.conclusions.as_ref().is_none_or(drawn)
            && self.since.is_none_or(|since| record.requested_at >= since)
            && self.until.is_none_or(|until| record.requested_at < until)
            && self
                .negative_control
                .is_none_or(|control| record.negative_control == control)
    }

    /// Whether no run that passed is asked for: most did.
    #[must_use]
    pub fn leaves_out_passed(&self) -> bool {
        let passed = Conclusion::As(Verdict::Passed);
        let conclusions = self.conclusions.as_ref();
        conclusions.is_some_and(|all| !all.contains(&passed))
    }
}

impl From<&RunRecord> for Place {
    fn from(record: &RunRecord) -> Self {
        Self {
            requested_at: record.requested_at,
            id: record.id,
        }
    }
}

impl Conclusion {
    /// That of a run with this verdict.
    #[must_use]
    pub fn of(verdict: Option<Verdict>) -> Self {
        verdict.map_or(Self::None, Self::As)
    }
}

impl FromStr for Conclusion {
    type Err = NoVerdict;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::None);
        }
        let verdict = Verdict::ALL.into_iter().find(|one| one.name() == text);
        verdict
            .map(Self::As)
            .ok_or_else(|| NoVerdict(text.to_owned()))
    }
}
