//! Sandboxes: where a restore happens and can do no harm.

pub mod kubernetes;
pub mod local;

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::domain::{
    failure::{Failure, FailureKind},
    ids::RunId,
    resource::Resource,
};

/// What a directory of a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Holds the recovery point that the run makes.
    RecoveryPoint,
    /// Holds the restored copy.
    Sandbox,
}

/// Something that wears a run's label, found by looking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub run: RunId,
    pub resource: Resource,
    /// Whether the process that made it still lives.
    pub in_use: bool,
}

/// A place that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Room {
    Directory(PathBuf),
    /// In the cluster that the drill names.
    Namespace {
        name: String,
        uid: Option<String>,
    },
}

/// What making a place gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub room: Room,
    /// What was planned, with what only its making could tell.
    pub resources: Vec<Resource>,
}

impl Room {
    /// The directory that it is.
    ///
    /// # Errors
    /// `Invalid` if it is none.
    pub fn directory(&self) -> Result<&Path, Failure> {
        match self {
            Self::Directory(path) => Ok(path),
            Self::Namespace { name, .. } => Err(Failure::new(
                FailureKind::Invalid,
                format!("the namespace {name} is no directory on this machine"),
            )),
        }
    }
}

impl std::fmt::Display for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Namespace { name, .. } => write!(f, "namespace {name}"),
        }
    }
}

/// Makes and removes the scratch places of runs.
///
/// Every call may be repeated: making adopts what this very run has made, and
/// releasing what is gone is fine.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// What `place` will be for `run`, first of all the place itself: a pure
    /// function of its arguments, so that it can be written down before it is
    /// made.
    fn plan(&self, run: RunId, place: Place) -> Vec<Resource>;

    /// Makes it, labelled as the run's, readable by its user alone.
    ///
    /// # Errors
    /// `Conflict` if something stands there that is not this run's.
    async fn make(&self, run: RunId, place: Place) -> Result<Made, Failure>;

    /// Ends every process of the run that works in the resource.
    async fn stop(&self, run: RunId, resource: &Resource) -> Result<(), Failure>;

    /// Ends its processes, and removes it after showing that it is the run's.
    async fn release(&self, run: RunId, resource: &Resource) -> Result<(), Failure>;

    /// How it looks there: processes, space, the ends of logs. For a timeout.
    async fn diagnose(&self, run: RunId, resource: &Resource) -> Vec<String>;

    /// Everything that wears the label of any run.
    async fn find(&self) -> Result<Vec<Found>, Failure>;
}
