//! The history of runs: one port, one contract suite, several stores.

pub mod agenda;
pub mod contract;
pub mod files;
pub mod filter;
pub mod known;
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

pub use self::filter::{Conclusion, Filter, Place};
use self::{
    agenda::Agenda, files::Files, known::Known, outbox::Outbox, replicas::Replicas,
    requests::Requests, retention::Retention, tallies::Tallies,
};
use crate::{
    domain::{record::RunRecord, resource::ClusterRef, summary::RunSummary},
    runner::store::{RunStore, StoreError},
};

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
    RunStore
    + Queries
    + Roots
    + Agenda
    + Requests
    + Replicas
    + Retention
    + Outbox
    + Tallies
    + Known
    + Files
{
}

impl<T> History for T where
    T: RunStore
        + Queries
        + Roots
        + Agenda
        + Requests
        + Replicas
        + Retention
        + Outbox
        + Tallies
        + Known
        + Files
{
}
