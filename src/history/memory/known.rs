//! Since when drills are known.

use std::sync::PoisonError;

use async_trait::async_trait;
use jiff::Timestamp;

use super::MemoryHistory;
use crate::{
    history::known::{Known, Since},
    runner::store::StoreError,
};

#[async_trait]
impl Known for MemoryHistory {
    async fn known(&self, drills: &[String], now: Timestamp) -> Result<Since, StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let each = drills.iter().map(|drill| {
            let since = known.entry(drill.clone()).or_insert(now);
            (drill.clone(), *since)
        });
        Ok(each.collect())
    }
}
