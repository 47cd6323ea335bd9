//! How a run ended: three separate facts that are never multiplied into one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{resource::Resource, step::Step};

/// What the run says about the backup and the objectives.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Restored, proven, and no objective missed.
    Passed,
    /// The data is wrong, or an objective was missed.
    Failed,
    /// The machinery could not finish, so nothing is known.
    Inconclusive,
}

impl Verdict {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Passed, Self::Failed, Self::Inconclusive];

    /// The name in JSON and texts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// How far the forward pass got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state", content = "step")]
pub enum Progress {
    /// Every step was done.
    Complete,
    /// It ended in this step.
    EndedIn(Step),
    /// It ended before the first step.
    NotStarted,
}

/// How giving everything back went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Cleanup {
    /// Not yet done.
    Pending,
    /// Nothing is left.
    Clean,
    /// What was made in the cluster is gone. What is on the machine whose
    /// process died was not looked at: a sweep there removes it.
    Elsewhere {
        /// That machine.
        host: String,
    },
    /// Something could not be removed; the sweeper keeps at it.
    Leaked {
        /// What is still there, and why.
        resources: Vec<Leak>,
    },
}

impl Cleanup {
    /// What is left behind.
    #[must_use]
    pub fn leaks(&self) -> &[Leak] {
        match self {
            Self::Leaked { resources } => resources,
            _ => &[],
        }
    }
}

/// A resource that could not be given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Leak {
    pub resource: Resource,
    pub reason: String,
}
