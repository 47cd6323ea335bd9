//! Sandboxes: where a restore happens and can do no harm.

pub mod local;

use std::path::PathBuf;

use async_trait::async_trait;

use crate::domain::{failure::Failure, ids::RunId, resource::Resource};

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

/// Makes and removes the scratch places of runs.
///
/// Every call may be repeated: making adopts what this very run has made, and
/// releasing what is gone is fine.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// What `place` will be for `run`: a pure function of its arguments, so
    /// that it can be written down before it is made.
    fn plan(&self, run: RunId, place: Place) -> Resource;

    /// Makes it, labelled as the run's, readable by its user alone.
    ///
    /// # Errors
    /// `Conflict` if something stands there that is not this run's.
    async fn make(&self, run: RunId, resource: &Resource) -> Result<PathBuf, Failure>;

    /// Ends every process of the run that works in the resource.
    async fn stop(&self, run: RunId, resource: &Resource) -> Result<(), Failure>;

    /// Ends its processes, and removes it after showing that it is the run's.
    async fn release(&self, run: RunId, resource: &Resource) -> Result<(), Failure>;

    /// How it looks there: processes, space, the ends of logs. For a timeout.
    async fn diagnose(&self, run: RunId, resource: &Resource) -> Vec<String>;

    /// Everything that wears the label of any run.
    async fn find(&self) -> Result<Vec<Found>, Failure>;
}
