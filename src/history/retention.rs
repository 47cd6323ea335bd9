//! Forgetting what is old.

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{domain::ids::RunId, runner::store::StoreError};

#[async_trait]
pub trait Retention: Send + Sync {
    /// Forgets runs that were requested before `before`, with all that is kept
    /// of them, and fire times before it: the oldest first, at most `limit` of
    /// each; gives the runs. Of each drill the newest run stays, and the newest
    /// that passed; and what has not ended stays. Digests of periods before it
    /// go, too, but for the newest of each target.
    async fn forget(&self, before: Timestamp, limit: u32) -> Result<Vec<RunId>, StoreError>;
}
