//! Recovery points: what is restored from.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    canary::CanaryLog,
    failure::{Failure, FailureKind},
    fingerprint::Fingerprint,
    inventory::Inventory,
};

/// The name of the file beside a dump that describes its recovery point.
pub const POINT_FILE: &str = "point.json";

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

impl RecoveryPoint {
    /// One of which nothing else is known.
    #[must_use]
    pub fn new(artifact: Artifact, ownership: Ownership, cut: Cut) -> Self {
        Self {
            artifact,
            ownership,
            cut,
            size_bytes: 0,
            producer: None,
            source_version: None,
            fingerprint: None,
            inventory: None,
            canary: None,
            details: BTreeMap::new(),
        }
    }
}

/// What it consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Artifact {
    /// A dump that an engine's loader reads.
    LogicalDump {
        path: PathBuf,
        /// `directory`, `custom`, `tar` or `plain`, with the compression of a
        /// plain one: `plain+gzip`.
        format: String,
    },
    /// A dump in a bucket, which has to be fetched before it can be read.
    StoredDump {
        /// Where it is, for people.
        location: String,
        /// Of the object; ending in a slash, what those of a directory dump
        /// begin with, or all that a run keeps.
        key: String,
        format: String,
    },
    /// The engine's own files.
    PhysicalBackup { path: PathBuf },
    /// Snapshots of volumes, which a copy's volumes are made of.
    Volumes { snapshots: Vec<VolumeCut> },
}

/// The snapshot of one volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeCut {
    /// The volume's name in the workload.
    pub volume: String,
    /// The VolumeSnapshot, as `namespace/name`; or its content's name, where
    /// that is all there is.
    pub snapshot: String,
    /// The VolumeSnapshotContent that the driver filled in.
    pub content: String,
    /// The driver that keeps it.
    pub driver: String,
    /// The driver's own name of it.
    pub handle: String,
    /// The least size of a volume made of it.
    pub least_bytes: u64,
    /// When it was cut, by the storage's clock.
    pub cut_at: Option<Timestamp>,
}

impl Artifact {
    /// The file or directory that it is.
    ///
    /// # Errors
    /// `Invalid` if it is none.
    pub fn path(&self) -> Result<&Path, Failure> {
        match self {
            Self::LogicalDump { path, .. } | Self::PhysicalBackup { path } => Ok(path),
            Self::StoredDump { location, .. } => Err(Failure::new(
                FailureKind::Internal,
                format!("{location} has not been fetched"),
            )),
            Self::Volumes { .. } => Err(Failure::new(
                FailureKind::Invalid,
                "snapshots of volumes can only be restored where they were made: in Kubernetes",
            )),
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::LogicalDump { path, .. } | Self::PhysicalBackup { path } => {
                path.display().to_string()
            }
            Self::StoredDump { location, .. } => location.clone(),
            Self::Volumes { snapshots } => {
                let names = snapshots.iter().map(|cut| cut.snapshot.as_str());
                names.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// Who may remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// This run made it, and gives it back.
    Ours,
    /// It was found: never altered, never removed.
    Borrowed,
}

/// The instant whose state a recovery point holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CutBasis {
    /// The source's clock was read inside the snapshot.
    Snapshot,
    /// The storage says when it cut.
    Storage,
    /// The backup's own header says when it was begun.
    Header,
    /// The file's modification time: not before the cut.
    FileTime,
    /// Nothing tells.
    Unknown,
}
