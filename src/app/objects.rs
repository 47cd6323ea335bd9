//! What runs keep in buckets, as a sandbox sees it: planned with the place for
//! the recovery point, and given back like everything else.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    domain::{
        failure::{Failure, FailureKind},
        ids::RunId,
        resource::Resource,
    },
    k8s::Clusters,
    recovery::s3::Bucket,
    remote,
    sandbox::{Found, Made, Place, Sandbox},
};

/// All buckets: the ledger says which, and nothing is ever looked for there.
pub struct Buckets {
    /// Whose Secrets may hold the credentials.
    pub clusters: Clusters,
}

#[async_trait]
impl Sandbox for Buckets {
    fn plan(&self, _run: RunId, _place: Place) -> Vec<Resource> {
        Vec::new()
    }

    async fn make(&self, _run: RunId, _place: Place) -> Result<Made, Failure> {
        let message = "a bucket is no place for a copy";
        Err(Failure::new(FailureKind::Internal, message))
    }

    async fn stop(&self, _run: RunId, _resource: &Resource) -> Result<(), Failure> {
        Ok(())
    }

    async fn release(&self, run: RunId, resource: &Resource) -> Result<(), Failure> {
        let Resource::Objects {
            place,
            prefix,
            from,
        } = resource
        else {
            let message = format!("{} is in no bucket", resource.key());
            return Err(Failure::new(FailureKind::Invalid, message));
        };
        match from {
            Some(from) => remote::clear(&self.clusters, from, (place, prefix), run).await,
            None => Bucket::open(place).await?.clear(prefix, run).await,
        }
    }

    async fn diagnose(&self, _run: RunId, _resource: &Resource) -> Vec<String> {
        Vec::new()
    }

    async fn find(&self) -> Result<Vec<Found>, Failure> {
        Ok(Vec::new())
    }
}

/// A sandbox whose runs keep their recovery point in a bucket.
pub struct WithBucket {
    pub inner: Arc<dyn Sandbox>,
    pub buckets: Arc<dyn Sandbox>,
    /// What a run keeps there.
    pub objects: Resource,
}

impl WithBucket {
    fn of(&self, resource: &Resource) -> &dyn Sandbox {
        match resource {
            Resource::Objects { .. } => &*self.buckets,
            _ => &*self.inner,
        }
    }
}

#[async_trait]
impl Sandbox for WithBucket {
    fn plan(&self, run: RunId, place: Place) -> Vec<Resource> {
        let mut planned = self.inner.plan(run, place);
        if place == Place::RecoveryPoint {
            planned.push(self.objects.clone());
        }
        planned
    }

    async fn make(&self, run: RunId, place: Place) -> Result<Made, Failure> {
        self.inner.make(run, place).await
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
        self.inner.find().await
    }
}
