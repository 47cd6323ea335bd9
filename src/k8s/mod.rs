//! Kubernetes: the API server, and nothing else of a cluster, is talked to.
//!
//! Objects are handled as plain data of a [`Kind`]: what Lifeboat makes it
//! writes as JSON, what users have made keeps the fields that Lifeboat does
//! not know. Everything made wears the label of its run, and nothing is
//! removed that does not.

mod access;
mod answer;
mod classes;
mod clusters;
mod diagnose;
mod discovery;
mod error;
mod event;
mod kind;
mod label;
mod log;
mod looks;
mod make;
mod name;
mod reach;
mod recall;
mod remove;
mod retry;
mod review;
mod rules;
mod volume;
mod wait;
mod watches;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use kube::{
    Api, Client, Config,
    api::{DynamicObject, ListParams},
    client::{Body, ClientBuilder},
    config::{KubeConfigOptions, Kubeconfig},
};
use tower::{buffer::BufferLayer, layer::layer_fn, retry::RetryLayer, util::MapRequestLayer};

pub use self::{
    access::{Access, Permission, Scope},
    clusters::Clusters,
    diagnose::{
        namespace as diagnose_namespace, pod as diagnose_pod, snapshot_error,
        snapshots as diagnose_snapshots,
    },
    discovery::best as best_version,
    error::{failure, missing},
    event::Report,
    kind::Kind,
    label::{DRILL, EXPIRES_AT, MANAGED_BY, MANAGER, RUN, labels, run_of},
    log::{Container, Ended, Line, follow},
    make::Maker,
    remove::is_going,
    rules::Rule,
    volume::{Claimed, claimed_in, handle, is_bound, is_member, shared},
    wait::until_after,
};
use crate::domain::{
    failure::{Failure, FailureKind},
    resource::ClusterRef,
};

/// How many requests may wait to be sent.
const WAITING: usize = 1024;

/// An object of any kind.
pub type Object = DynamicObject;

/// A cluster that can be reached.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// What to call it in messages.
    pub name: String,
    requests: Arc<AtomicU64>,
    served: discovery::Served,
    watches: watches::Watches,
    looks: looks::Looks,
    classes: classes::Classes,
    reach: reach::Reach,
}

impl Cluster {
    /// Reads the credentials. Nothing is sent yet; what will be is counted in
    /// `sent`, too.
    ///
    /// # Errors
    /// If there are none, or they make no sense.
    pub async fn connect(place: &ClusterRef, sent: Arc<AtomicU64>) -> Result<Self, Failure> {
        let (config, name) = config(place).await?;
        let requests = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&requests);
        let counting = MapRequestLayer::new(move |request: http::Request<Body>| {
            count.fetch_add(1, Ordering::Relaxed);
            sent.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(method = %request.method(), path = %request.uri(), "to the API server");
            request
        });
        let builder = ClientBuilder::try_from(config);
        let builder = builder.map_err(|error| failure("connect", &error))?;
        let client = builder
            .with_layer(&layer_fn(|inner| answer::InTime {
                longest: answer::LONGEST,
                inner,
            }))
            .with_layer(&counting)
            .with_layer(&BufferLayer::new(WAITING))
            .with_layer(&RetryLayer::new(retry::Patience::new()))
            .build();
        let cluster = Self::of(client, name);
        Ok(Self {
            requests,
            ..cluster
        })
    }

    fn of(client: Client, name: impl Into<String>) -> Self {
        Self {
            client,
            name: name.into(),
            requests: Arc::default(),
            served: discovery::Served::default(),
            watches: watches::Watches::default(),
            looks: looks::Looks::default(),
            classes: classes::Classes::default(),
            reach: reach::Reach::default(),
        }
    }

    /// How many requests were sent so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The objects of a kind, in a namespace or of the whole cluster.
    ///
    /// # Errors
    /// `NotFound` if the API server does not know the kind, `Invalid` if there
    /// can be no such namespace.
    pub async fn api(&self, kind: Kind, namespace: Option<&str>) -> Result<Api<Object>, Failure> {
        let resource = self.resource(kind).await?;
        let client = self.client.clone();
        Ok(match namespace {
            Some(namespace) => Api::namespaced_with(client, name::checked(namespace)?, &resource),
            None => Api::all_with(client, &resource),
        })
    }

    /// The API server itself, for what is no object.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// One object, if it is there.
    ///
    /// # Errors
    /// If the API server does not answer or forbids it.
    pub async fn get(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Object>, Failure> {
        let api = self.api(kind, namespace).await?;
        let found = api.get_opt(name::checked(name)?).await;
        found.map_err(|error| failure(&format!("read {}", kind.named(namespace, name)), &error))
    }

    /// One object that has to be there.
    ///
    /// # Errors
    /// `NotFound`, and as [`get`](Self::get).
    pub async fn need(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Object, Failure> {
        let found = self.get(kind, namespace, name).await?;
        found.ok_or_else(|| missing(kind, namespace, name))
    }

    /// All objects of a kind that fit a label selector; an empty one fits all.
    ///
    /// # Errors
    /// If the API server does not answer or forbids it.
    pub async fn list(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        selector: &str,
    ) -> Result<Vec<Object>, Failure> {
        let params = ListParams::default().labels(selector);
        let list = self.api(kind, namespace).await?.list(&params).await;
        let list = list.map_err(|error| failure(&format!("list {}", kind.plural()), &error))?;
        Ok(list.items)
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

async fn config(place: &ClusterRef) -> Result<(Config, String), Failure> {
    let unusable = |error: &dyn std::fmt::Display| {
        let message = format!("cannot use the cluster's credentials: {error}");
        Failure::new(FailureKind::Invalid, message).hint(
            "name a kubeconfig and context in the drill or in KUBECONFIG, or run inside the cluster",
        )
    };
    let options = KubeConfigOptions {
        context: place.context.clone(),
        ..KubeConfigOptions::default()
    };
    let read = match &place.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None if place.context.is_none() => {
            let inferred = Config::infer().await.map_err(|error| unusable(&error))?;
            let name = inferred.cluster_url.to_string();
            return Ok((inferred, name));
        }
        None => Kubeconfig::read(),
    };
    let kubeconfig = read.map_err(|error| unusable(&error))?;
    let name = place.context.clone().or(kubeconfig.current_context.clone());
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let config = config.map_err(|error| unusable(&error))?;
    let name = name.unwrap_or_else(|| config.cluster_url.to_string());
    Ok((config, name))
}
