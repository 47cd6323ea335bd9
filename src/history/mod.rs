//! The history of runs: one port, one contract suite, several stores.

pub mod agenda;
pub mod contract;
pub mod memory;
pub mod outbox;
pub mod replicas;
pub mod requests;
pub mod retention;
pub mod sql;
pub mod tallies;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::Timestamp;

use self::{
    agenda::Agenda, outbox::Outbox, replicas::Replicas, requests::Requests, retention::Retention,
    tallies::Tallies,
};
use crate::{
    domain::{ids::RunId, record::RunRecord, resource::ClusterRef, summary::RunSummary},
    runner::store::{RunStore, StoreError},
};

/// Which runs are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of these drills only.
    pub drills: Option<Vec<String>>,
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

impl From<&RunRecord> for Place {
    fn from(record: &RunRecord) -> Self {
        Self {
            requested_at: record.requested_at,
            id: record.id,
        }
    }
}

/// A time from `since` up to, and without, `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period {
    pub since: Timestamp,
    pub until: Timestamp,
}

impl Period {
    #[must_use]
    pub fn holds(&self, at: Timestamp) -> bool {
        (self.since..self.until).contains(&at)
    }
}

/// Reading the history.
#[async_trait]
pub trait Queries: Send + Sync {
    /// The runs that match, newest first.
    async fn list(&self, filter: &Filter) -> Result<Vec<RunRecord>, StoreError>;

    /// The same, each on one line.
    async fn summaries(&self, filter: &Filter) -> Result<Vec<RunSummary>, StoreError>;

    /// Runs whose verdict was drawn at `since` or later,
    /// in that order, at most `limit`: each with the instant at which it was drawn, which was noted by
    /// whoever drew it.
    async fn concluded(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Timestamp, RunRecord)>, StoreError>;

    /// The runs whose id begins or ends with `text`, at most two: one is an
    /// answer, two are an ambiguity.
    async fn find(&self, text: &str) -> Result<Vec<RunRecord>, StoreError>;

    /// The run that was begun for the request of this name.
    async fn requested(&self, key: &str) -> Result<Option<RunRecord>, StoreError>;
}

/// Where drills had their scratch directories, beside Lifeboat's own place.
#[async_trait]
pub trait Roots: Send + Sync {
    /// Remembers a place before anything is made there. Durable when it
    /// returns; a place may be told any number of times.
    async fn remember_root(&self, root: &Path, at: Timestamp) -> Result<(), StoreError>;

    /// Every place that was ever remembered.
    async fn roots(&self) -> Result<Vec<PathBuf>, StoreError>;

    /// The same of a cluster.
    async fn remember_cluster(&self, cluster: &ClusterRef, at: Timestamp)
    -> Result<(), StoreError>;

    /// Every cluster that was ever remembered.
    async fn clusters(&self) -> Result<Vec<ClusterRef>, StoreError>;

    /// What all processes that share this history are called; `otherwise`
    /// from now on, where they have no name yet.
    async fn installation(&self, otherwise: &str) -> Result<String, StoreError>;
}

/// A whole history.
pub trait History:
    RunStore + Queries + Roots + Agenda + Requests + Replicas + Retention + Outbox + Tallies
{
}

impl<T> History for T where
    T: RunStore + Queries + Roots + Agenda + Requests + Replicas + Retention + Outbox + Tallies
{
}
