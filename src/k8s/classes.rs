//! Classes of storage and of snapshots: what a cluster's administrator sets up.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Cluster, Kind, Object, recall::Recall};
use crate::domain::failure::Failure;

type Seen = Recall<Arc<Vec<Object>>>;

/// The classes that were seen, by their kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Classes(Arc<Mutex<BTreeMap<Kind, Seen>>>);

impl Classes {
    fn of(&self, kind: Kind) -> Seen {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(kind).or_default().clone()
    }
}

impl Cluster {
    /// What `choose` finds among the classes of a kind. They may have been seen
    /// a short while ago; where it finds nothing among these, they are looked at
    /// anew.
    ///
    /// # Errors
    /// As `choose`, and as [`list`](Cluster::list).
    pub async fn classes<T>(
        &self,
        kind: Kind,
        choose: impl Fn(&[Object]) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let known = self.classes.of(kind);
        let list = async || self.list(kind, None, "").await.map(Arc::new);
        let mut is_new = false;
        let look = async {
            is_new = true;
            list().await
        };
        let found = choose(&known.or_ask(look).await?);
        if found.is_ok() || is_new {
            return found;
        }
        known.forget().await;
        choose(&known.or_ask(list()).await?)
    }
}
