//! The clusters that this process talks to: one connection to each.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::Mutex;

use super::Cluster;
use crate::domain::{failure::Failure, resource::ClusterRef};

/// Connections by what a drill calls the cluster.
#[derive(Debug, Clone, Default)]
pub struct Clusters(Arc<Mutex<BTreeMap<ClusterRef, Cluster>>>);

impl Clusters {
    /// The cluster that `place` means, connected at the first time.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub async fn get(&self, place: &ClusterRef) -> Result<Cluster, Failure> {
        let mut known = self.0.lock().await;
        if let Some(cluster) = known.get(place) {
            return Ok(cluster.clone());
        }
        let cluster = Cluster::connect(place).await?;
        known.insert(place.clone(), cluster.clone());
        Ok(cluster)
    }
}
