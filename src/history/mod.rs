//! The history of runs: one port, one contract suite, several stores.

pub mod contract;
pub mod memory;
pub mod sqlite;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    domain::{record::RunRecord, resource::ClusterRef},
    runner::store::{RunStore, StoreError},
};

/// Which runs are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this drill only.
    pub drill: Option<String>,
    /// At most so many; all where absent.
    pub limit: Option<u32>,
}

/// Reading the history.
#[async_trait]
pub trait Queries: Send + Sync {
    /// The runs that match, newest first.
    async fn list(&self, filter: &Filter) -> Result<Vec<RunRecord>, StoreError>;

    /// The runs whose id begins or ends with `text`, at most two: one is an
    /// answer, two are an ambiguity.
    async fn find(&self, text: &str) -> Result<Vec<RunRecord>, StoreError>;
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
}

/// A whole history.
pub trait History: RunStore + Queries + Roots {}

impl<T: RunStore + Queries + Roots> History for T {}
