//! All places that runs are made in, as one sandbox: whatever a run has left
//! is released where it lies.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use super::objects::Buckets;
use crate::{
    clock::Clock,
    domain::{
        failure::Failure,
        ids::RunId,
        resource::{ClusterRef, Resource},
    },
    k8s::Clusters,
    sandbox::{Found, Made, Place, Sandbox, kubernetes::KubernetesSandbox, local::LocalSandbox},
};

/// Makes sandboxes in clusters.
pub struct Namespaces {
    pub installation: String,
    pub clock: Arc<dyn Clock>,
    pub connections: Clusters,
    /// The role that Lifeboat gives itself in them.
    pub role: String,
}

impl Namespaces {
    pub fn at(&self, cluster: ClusterRef) -> KubernetesSandbox {
        let (installation, clock) = (self.installation.clone(), self.clock.clone());
        let mut sandbox =
            KubernetesSandbox::new(cluster, installation, clock, self.connections.clone());
        sandbox.role.clone_from(&self.role);
        sandbox
    }
}

/// This machine, and every cluster that is named to it.
pub struct Places {
    local: LocalSandbox,
    namespaces: Namespaces,
    clusters: Mutex<BTreeMap<ClusterRef, Arc<KubernetesSandbox>>>,
}

impl Places {
    /// No cluster is known yet.
    #[must_use]
    pub fn new(local: LocalSandbox, namespaces: Namespaces) -> Self {
        Self {
            local,
            namespaces,
            clusters: Mutex::default(),
        }
    }

    fn of(&self, resource: &Resource) -> Arc<dyn Sandbox> {
        match resource {
            Resource::Directory { .. } => Arc::new(self.local.clone()),
            Resource::Namespace { cluster, .. } | Resource::Snapshots { cluster, .. } => {
                self.cluster(cluster)
            }
            Resource::Objects { .. } => Arc::new(Buckets {
                clusters: self.namespaces.connections.clone(),
            }),
        }
    }

    fn cluster(&self, place: &ClusterRef) -> Arc<KubernetesSandbox> {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(self.namespaces.at(place.clone()));
        clusters.entry(place.clone()).or_insert_with(make).clone()
    }
}

#[async_trait]
impl Sandbox for Places {
    fn plan(&self, run: RunId, place: Place) -> Vec<Resource> {
        self.local.plan(run, place)
    }

    async fn make(&self, run: RunId, place: Place) -> Result<Made, Failure> {
        self.local.make(run, place).await
    }

    async fn stop(&self, run: RunId, resource: &Resource) -> Result<(), Failure> {
        self.of(resource).stop(run, resource).await
    }

    async fn release(&self, run: RunId, resource: &Resource) -> Result<(), Failure> {
        self.of(resource).release(run, resource).await
    }

    async fn diagnose(&self, run: RunId, resource: &Resource) -> Vec<String> {
        self.of(resource).diagnose(run, resource).await
    }

    async fn find(&self) -> Result<Vec<Found>, Failure> {
        let mut found = self.local.find().await?;
        let clusters: Vec<_> = {
            let clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
            clusters.values().cloned().collect()
        };
        for cluster in clusters {
            found.extend(cluster.find().await?);
        }
        Ok(found)
    }
}
