//! Scratch namespaces.
//!
//! A namespace is the run's if it bears the run's name and wears its label.
//! It is fenced before anything is in it: nothing gets in or out, no pod has
//! rights, and it says itself when it is nobody's any more.

mod fence;
mod over;
mod remove;
mod rights;

use self::remove::Home;
pub use self::{
    fence::PODS,
    rights::{SANDBOX_ROLE, in_sandboxes, to_bind},
};

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use kube::ResourceExt;
use serde_json::json;
use tokio::sync::Mutex;

use self::over::Over;
use super::{Found, Made, Place, Room, Sandbox};
use crate::{
    clock::Clock,
    domain::{
        failure::{Failure, FailureKind},
        ids::RunId,
        resource::{ClusterRef, Resource},
    },
    k8s::{self, Cluster, Clusters, EXPIRES_AT, Kind, Maker, Object, run_of},
};

/// Which installation of Lifeboat made a namespace: another one's runs are not
/// in our history, and not ours to remove.
const INSTALLATION: &str = "lifeboat.dev/installation";

/// Scratch namespaces in one cluster.
pub struct KubernetesSandbox {
    pub place: ClusterRef,
    /// Whose runs these are.
    pub installation: String,
    pub clock: std::sync::Arc<dyn Clock>,
    /// The drill that a place is made for; empty where places are only removed.
    pub drill: String,
    /// Where the run makes snapshots of the workload's volumes, if it does.
    pub snapshots_in: Option<String>,
    /// After this time a namespace is nobody's any more. Longer than any run may take.
    pub lifetime: Duration,
    /// The ClusterRole with the rights in a sandbox.
    pub role: String,
    clusters: Clusters,
    /// The namespace that was made last: a run's recovery point and its copy
    /// share one.
    made: Mutex<Option<(RunId, Option<String>)>>,
    /// Runs whose pods have all been seen to go.
    stopped: Mutex<BTreeSet<RunId>>,
}

impl KubernetesSandbox {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new(
        place: ClusterRef,
        installation: String,
        clock: std::sync::Arc<dyn Clock>,
        clusters: Clusters,
    ) -> Self {
        Self {
            place,
            installation,
            clock,
            drill: String::new(),
            snapshots_in: None,
            lifetime: Duration::from_hours(48),
            role: SANDBOX_ROLE.to_owned(),
            clusters,
            made: Mutex::default(),
            stopped: Mutex::default(),
        }
    }

    async fn cluster(&self) -> Result<Cluster, Failure> {
        self.clusters.get(&self.place).await
    }

    fn namespace(&self, run: RunId) -> Resource {
        Resource::Namespace {
            cluster: self.place.clone(),
            name: run.resource_name(),
            uid: None,
        }
    }

    async fn maker(&self, run: RunId) -> Result<Maker, Failure> {
        Ok(Maker {
            cluster: self.cluster().await?,
            run,
            drill: self.drill.clone(),
        })
    }

    async fn make_namespace(&self, run: RunId, name: &str) -> Result<Object, Failure> {
        let maker = self.maker(run).await?;
        let now = self.clock.now();
        let expires = now.checked_add(self.lifetime).unwrap_or(now);
        let body = json!({ "metadata": {
            "labels": {
                INSTALLATION: self.installation,
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/enforce-version": "latest",
            },
            "annotations": { EXPIRES_AT: expires.to_string() },
        }});
        let namespace = maker.make(Kind::Namespace, None, name, body).await?;
        rights::ensure(&maker, name, &self.role).await?;
        fence::put_up(&maker, name).await?;
        Ok(namespace)
    }

    /// Whether another installation may have a claim to it.
    async fn is_anothers(&self, object: &Object, over: &Over<'_>) -> bool {
        object.labels().get(INSTALLATION) != Some(&self.installation)
            && !over.is_over(object, self.clock.now()).await
    }
}

#[async_trait]
impl Sandbox for KubernetesSandbox {
    fn plan(&self, run: RunId, place: Place) -> Vec<Resource> {
        let mut planned = vec![self.namespace(run)];
        if let (Place::RecoveryPoint, Some(namespace)) = (place, &self.snapshots_in) {
            planned.push(Resource::Snapshots {
                cluster: self.place.clone(),
                namespace: namespace.clone(),
            });
        }
        planned
    }

    async fn make(&self, run: RunId, place: Place) -> Result<Made, Failure> {
        let name = run.resource_name();
        let mut last = self.made.lock().await;
        let known = last.take().filter(|(of, _)| *of == run);
        let (_, made) = match known {
            Some(known) => known,
            None => (run, self.make_namespace(run, &name).await?.uid()),
        };
        *last = Some((run, made.clone()));
        let mut resources = self.plan(run, place);
        if let Some(Resource::Namespace { uid, .. }) = resources.first_mut() {
            uid.clone_from(&made);
        }
        Ok(Made {
            room: Room::Namespace { name, uid: made },
            resources,
        })
    }

    async fn stop(&self, run: RunId, resource: &Resource) -> Result<(), Failure> {
        match resource {
            Resource::Namespace { name, .. } => {
                remove::pods(&self.maker(run).await?, name, &self.role).await?;
                self.stopped.lock().await.insert(run);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn release(&self, run: RunId, resource: &Resource) -> Result<(), Failure> {
        let maker = self.maker(run).await?;
        match resource {
            Resource::Namespace { name, uid, .. } => {
                let home = Home {
                    name,
                    uid: uid.as_deref(),
                    role: &self.role,
                    is_still: self.stopped.lock().await.remove(&run),
                };
                Box::pin(remove::namespace(&maker, home)).await
            }
            Resource::Snapshots { namespace, .. } => {
                remove::snapshots(&maker.cluster, run, namespace).await
            }
            Resource::Directory { .. } | Resource::Objects { .. } => Err(Failure::new(
                FailureKind::Invalid,
                format!("{} is not in a cluster", resource.key()),
            )),
        }
    }

    async fn diagnose(&self, run: RunId, resource: &Resource) -> Vec<String> {
        let cluster = match self.cluster().await {
            Ok(cluster) => cluster,
            Err(failure) => return vec![failure.message],
        };
        match resource {
            Resource::Namespace { name, .. } => k8s::diagnose_namespace(&cluster, name).await,
            Resource::Snapshots { namespace, .. } => {
                k8s::diagnose_snapshots(&cluster, namespace, run).await
            }
            Resource::Directory { .. } | Resource::Objects { .. } => Vec::new(),
        }
    }

    async fn find(&self) -> Result<Vec<Found>, Failure> {
        let cluster = &self.cluster().await?;
        let namespaces = cluster.list(Kind::Namespace, None, k8s::RUN).await?;
        let over = Over::new(cluster, self.lifetime);
        let mut found = Vec::new();
        for object in &namespaces {
            let Some(run) = run_of(object) else {
                continue;
            };
            found.push(Found {
                run,
                resource: Resource::Namespace {
                    cluster: self.place.clone(),
                    name: object.name_any(),
                    uid: object.uid(),
                },
                in_use: self.is_anothers(object, &over).await,
            });
        }
        Ok(found)
    }
}
