//! Targets, and what was measured against them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A measured value against its target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_ms: Option<u64>,
    pub standing: Standing,
    /// Why it is untested, or what else a reader has to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Whether an objective holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    Met,
    Missed,
    /// There is a target, and no measurement that may be held against it.
    #[default]
    Untested,
    /// There is no target.
    NoTarget,
}

/// The measured recovery point, each figure with its basis.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryPointMeasured {
    /// The figure of the strongest basis, against the target.
    #[serde(flatten)]
    pub objective: Measured,
    /// Which basis that figure has.
    pub basis: Option<RpoBasis>,
    /// All figures that could be had, strongest basis first.
    pub figures: Vec<RpoFigure>,
    /// For a fresh recovery point: from the cut until it was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture_lag_ms: Option<u64>,
    /// How often backups are made in production, as the drill states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_interval_ms: Option<u64>,
    /// Capture lag plus the interval between backups that the drill states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_case_ms: Option<u64>,
    /// Canary writes acknowledged before the cut and missing in the copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_writes_lost: Option<u64>,
}

/// How old the newest write in the copy is, by one basis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RpoFigure {
    pub basis: RpoBasis,
    /// `declared` minus the newest write found.
    pub age_ms: u64,
    /// The newest write found, on the source's clock.
    pub newest: jiff::Timestamp,
}

/// The newest write found in the copy, on the source's clock.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct NewestWrite {
    pub basis: RpoBasis,
    pub at: jiff::Timestamp,
}

/// What an RPO figure rests on, strongest first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RpoBasis {
    /// Acknowledged writes of our own.
    Canary,
    /// The engine's last commit or replay time.
    Engine,
    /// The user's query.
    Query,
    /// The recovery point's own time.
    Cut,
}

impl RpoBasis {
    /// The name in JSON and texts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Engine => "engine",
            Self::Query => "query",
            Self::Cut => "cut",
        }
    }
}

impl Measured {
    /// Holds a measurement against a target.
    #[must_use]
    pub fn against(target: Option<Duration>, measured: Option<Duration>) -> Self {
        let standing = match (target, measured) {
            (None, _) => Standing::NoTarget,
            (Some(_), None) => Standing::Untested,
            (Some(target), Some(measured)) if measured <= target => Standing::Met,
            (Some(_), Some(_)) => Standing::Missed,
        };
        Self {
            target_ms: target.map(millis),
            measured_ms: measured.map(millis),
            standing,
            note: None,
        }
    }

    /// Keeps the measurement but says that it proves nothing.
    #[must_use]
    pub fn untested(mut self, why: impl Into<String>) -> Self {
        if self.standing != Standing::NoTarget {
            self.standing = Standing::Untested;
        }
        self.note = Some(why.into());
        self
    }
}

/// Whole milliseconds, saturating.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
