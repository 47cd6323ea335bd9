//! Recovery points: what is restored from.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{canary::CanaryLog, fingerprint::Fingerprint, inventory::Inventory};

/// A recovery point, with what is known of the data at its cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPoint {
    pub artifact: Artifact,
    pub ownership: Ownership,
    pub cut: Cut,
    /// On disk.
    pub size_bytes: u64,
    /// What made it, such as `pg_dump 15.18`.
    pub producer: Option<String>,
    /// The version of the server it was taken from.
    pub source_version: Option<String>,
    /// Taken at the cut; absent for a recovery point that was found.
    pub fingerprint: Option<Fingerprint>,
    /// Taken at the cut, or read from the backup itself.
    pub inventory: Option<Inventory>,
    pub canary: Option<CanaryLog>,
    /// Further facts in the engine's own terms, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// What it consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Artifact {
    /// A dump that an engine's loader reads.
    LogicalDump {
        path: PathBuf,
        /// `directory`, `custom`, `tar` or `plain`, with the compression of a
        /// plain one: `plain+gzip`.
        format: String,
    },
    /// The engine's own files.
    PhysicalBackup { path: PathBuf },
}

impl Artifact {
    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &PathBuf {
        match self {
            Self::LogicalDump { path, .. } | Self::PhysicalBackup { path } => path,
        }
    }
}

/// Who may remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// This run made it, and gives it back.
    Ours,
    /// It was found: never altered, never removed.
    Borrowed,
}

/// The instant whose state a recovery point holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// On the source's clock; `None` where nothing tells it.
    pub at: Option<Timestamp>,
    /// How `at` is known.
    pub basis: CutBasis,
    /// The engine's position at the cut, such as an LSN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// The newest commit at the cut, on the source's clock, where the engine
    /// can say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_commit: Option<Timestamp>,
}

/// How the instant of a cut is known, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutBasis {
    /// The source's clock was read inside the snapshot.
    Snapshot,
    /// The backup's own header says when it was begun.
    Header,
    /// The file's modification time: not before the cut.
    FileTime,
    /// Nothing tells.
    Unknown,
}
