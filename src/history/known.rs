//! Since when drills are known.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::runner::store::StoreError;

/// Since when drills are known, by name.
pub type Since = BTreeMap<String, Timestamp>;

/// A drill is known from the instant on at which a service has first read of it,
/// whatever starts anew since.
#[async_trait]
pub trait Known: Send + Sync {
    /// Since when these drills are known: since `now`, if they were not.
    async fn known(&self, drills: &[String], now: Timestamp) -> Result<Since, StoreError>;
}

/// What does not change is asked once.
#[derive(Debug, Default)]
pub struct KnownSince(tokio::sync::Mutex<Arc<Since>>);

impl KnownSince {
    /// Since when these drills, and perhaps others, are known.
    ///
    /// # Errors
    /// If the history cannot be read or written.
    pub async fn of(
        &self,
        history: &(impl Known + ?Sized),
        drills: impl Iterator<Item = &str>,
        now: Timestamp,
    ) -> Result<Arc<Since>, StoreError> {
        let mut known = self.0.lock().await;
        let new = drills.filter(|drill| !known.contains_key(*drill));
        let new: Vec<String> = new.map(str::to_owned).collect();
        if !new.is_empty() {
            let since = history.known(&new, now).await?;
            Arc::make_mut(&mut known).extend(since);
        }
        Ok(known.clone())
    }
}
