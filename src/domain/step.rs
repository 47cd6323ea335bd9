//! The steps of a run, in the order in which they are done.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One step of the forward pass. Some acquire something outside the process,
/// which their [`release`](Step::acquires) gives back, however the run ends.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Looks at the source: version, size, settings, rights. Reads only.
    Inspect,
    /// Makes a fresh recovery point, or finds an existing one.
    Capture,
    /// Opens the scratch place and its fence.
    OpenSandbox,
    /// Starts an empty instance of the engine in the sandbox.
    Start,
    /// Puts the recovery point's data into the instance.
    Restore,
    /// Shows that the copy answers a read and commits a write.
    Serve,
    /// Spoils the copy on purpose; only in a negative control.
    Spoil,
    /// Checks the data.
    Verify,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 8] = [
        Self::Inspect,
        Self::Capture,
        Self::OpenSandbox,
        Self::Start,
        Self::Restore,
        Self::Serve,
        Self::Spoil,
        Self::Verify,
    ];

    /// What the step acquires outside the process.
    #[must_use]
    pub fn acquires(self) -> Option<Acquired> {
        match self {
            Self::Capture => Some(Acquired::RecoveryPoint),
            Self::OpenSandbox => Some(Acquired::Sandbox),
            Self::Start => Some(Acquired::Instance),
            Self::Inspect | Self::Restore | Self::Serve | Self::Spoil | Self::Verify => None,
        }
    }

    /// The name in journals, JSON and texts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inspect => "inspect",
            Self::Capture => "capture",
            Self::OpenSandbox => "open_sandbox",
            Self::Start => "start",
            Self::Restore => "restore",
            Self::Serve => "serve",
            Self::Spoil => "spoil",
            Self::Verify => "verify",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a step acquired and a release gives back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Acquired {
    /// The directory of a recovery point that this run made.
    RecoveryPoint,
    /// The scratch directory.
    Sandbox,
    /// The processes of the restored instance.
    Instance,
}

impl Acquired {
    /// The name in journals, JSON and texts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RecoveryPoint => "recovery_point",
            Self::Sandbox => "sandbox",
            Self::Instance => "instance",
        }
    }
}

impl fmt::Display for Acquired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
