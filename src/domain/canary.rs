//! The canary: writes whose acknowledgement Lifeboat itself has seen.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One acknowledged write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Acknowledged {
    pub sequence: i64,
    /// When the commit was acknowledged, on the source's clock.
    pub at: Timestamp,
    /// The engine's position right after the commit, such as an LSN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
}

/// What was written around one cut.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryLog {
    /// The table, as the engine quotes it.
    pub table: String,
    /// Acknowledged before the cut: every one has to be in the copy.
    pub before_cut: Vec<Acknowledged>,
    /// Acknowledged between the cut and `declared`: lost in a disaster then.
    pub after_cut: u64,
}

/// What became of the canary writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryOutcome {
    /// Writes acknowledged before the cut.
    pub acknowledged: u64,
    /// Of these, the sequence numbers that are not in the copy.
    pub lost: Vec<i64>,
    /// The time of the newest write that is in the copy, on the source's clock.
    pub newest: Option<Timestamp>,
}
