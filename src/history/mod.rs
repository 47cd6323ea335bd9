//! The history of runs: one port, one contract suite, several stores.

pub mod contract;
pub mod memory;
pub mod sqlite;

use async_trait::async_trait;

use crate::{
    domain::record::RunRecord,
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

/// A whole history.
pub trait History: RunStore + Queries {}

impl<T: RunStore + Queries> History for T {}
