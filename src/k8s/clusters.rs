//! The clusters that this process talks to: one connection to each.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicU64},
};

use tokio::sync::Mutex;

use super::Cluster;
use crate::domain::{failure::Failure, resource::ClusterRef};

/// Connections by what a drill calls the cluster.
#[derive(Debug, Clone, Default)]
pub struct Clusters {
    known: Arc<Mutex<BTreeMap<ClusterRef, Cluster>>>,
    sent: Arc<AtomicU64>,
}

impl Clusters {
    /// The cluster that `place` means, connected at the first time.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub async fn get(&self, place: &ClusterRef) -> Result<Cluster, Failure> {
        let mut known = self.known.lock().await;
        if let Some(cluster) = known.get(place) {
            return Ok(cluster.clone());
        }
        let cluster = Cluster::connect(place, self.sent()).await?;
        known.insert(place.clone(), cluster.clone());
        Ok(cluster)
    }

    /// How many requests were sent so far, to all of them.
    #[must_use]
    pub fn sent(&self) -> Arc<AtomicU64> {
        self.sent.clone()
    }
}
