//! Runs that somebody has asked for, and that have not begun.
//!
//! Who was told the id of a run is to find that run: so it survives the process
//! that has told it, and any process may begin it. How old a request is goes by
//! the history's own clock.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;

use crate::{
    domain::ids::{DrillName, RunId},
    runner::{overrides::Overrides, store::StoreError},
};

/// A run that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub run: RunId,
    pub drill: DrillName,
    /// What who asks for it calls the request.
    pub key: Option<String>,
    pub overrides: Overrides,
}

/// Requests. One goes with the beginning of its run, by
/// [`begin`](crate::runner::store::RunStore::begin).
#[async_trait]
pub trait Requests: Send + Sync {
    /// Notes that a run is wanted; gives run and drill of the request that was
    /// made with the same key before, or else its own.
    async fn ask(&self, wanted: &Wanted) -> Result<(RunId, String), StoreError>;

    /// Those that were made so long ago or longer, oldest first, at most `limit`; after
    /// the one for the run `after`, if there is any.
    async fn asked(
        &self,
        ago: Duration,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<Wanted>, StoreError>;

    /// The request of a run, while it is wanted.
    async fn request_of(&self, run: RunId) -> Result<Option<Wanted>, StoreError>;

    /// Whether a run has begun and ended.
    async fn is_over(&self, run: RunId) -> Result<bool, StoreError>;

    /// Which of these runs are still to give something back, as far as they can.
    async fn holding(&self, runs: &[RunId]) -> Result<HashSet<RunId>, StoreError>;

    /// Takes a request back; gives whether there was one.
    async fn withdraw(&self, run: RunId) -> Result<bool, StoreError>;
}
