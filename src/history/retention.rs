//! Forgetting what is old.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::runner::store::StoreError;

/// How much was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub runs: usize,
    pub fires: usize,
}

#[async_trait]
pub trait Retention: Send + Sync {
    /// The time by the history's own clock: one machine's clock that is wrong must
    /// not make all forget.
    async fn now(&self) -> Result<Timestamp, StoreError>;

    /// Forgets runs that were requested before `before`, with all that is kept
    /// of them, and fire times before it: the oldest first, at most `limit` of
    /// each; gives how many. Of each drill the newest run stays, and the newest
    /// that passed; and what has not ended stays. Digests of periods before it
    /// go, too, but for the newest of each target.
    async fn forget(&self, before: Timestamp, limit: u32) -> Result<Forgotten, StoreError>;
}
