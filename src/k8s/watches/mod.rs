//! Watches that all waits of a process share: one for each kind, of what
//! Lifeboat has made in the whole cluster, or in one namespace where no more is
//! allowed. It is opened for the first who waits, and closed when nobody has
//! waited for a while.
//!
//! Of volumes all are watched: they wear no label, and a volume is compared with
//! all others before it is used.

mod follow;
mod view;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kube::ResourceExt;
use tokio::{
    sync::{Notify, mpsc::UnboundedReceiver},
    task::AbortHandle,
};

pub(super) use self::view::News;
use self::{
    follow::Follower,
    view::{Key, View, key_of},
};
use super::{Cluster, Kind, MANAGED_BY, MANAGER, Object};
use crate::domain::failure::Failure;

/// What one watch is of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    pub kind: Kind,
    /// `None`: the whole cluster.
    pub namespace: Option<String>,
}

impl Scope {
    /// What is chosen by.
    fn selector(&self) -> Option<String> {
        (self.kind != Kind::PersistentVolume).then(|| format!("{MANAGED_BY}={MANAGER}"))
    }
}

/// Whether an object is among what the watches are of.
pub(super) fn is_watched(kind: Kind, object: &Object) -> bool {
    let wears = object
        .labels()
        .get(MANAGED_BY)
        .is_some_and(|by| by == MANAGER);
    wears || kind == Kind::PersistentVolume
}

/// The watches of one connection.
#[derive(Clone, Default)]
pub(super) struct Watches(Arc<Open>);

/// Those that are open.
#[derive(Default)]
struct Open(Mutex<BTreeMap<Scope, (Arc<Shared>, AbortHandle)>>);

impl Drop for Open {
    fn drop(&mut self) {
        for (_, task) in self.lock().values() {
            task.abort();
        }
    }
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Scope, (Arc<Shared>, AbortHandle)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A watch, as those know it who wait.
struct Shared {
    view: Mutex<View>,
    /// It may have gone silent: it is to be taken up anew.
    renew: Notify,
}

impl Shared {
    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits for one object. Gone when it is dropped.
pub(super) struct Listener {
    shared: Arc<Shared>,
    key: Key,
    id: u64,
    news: UnboundedReceiver<News>,
    pub scope: Scope,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.view().leave(&self.key, self.id);
    }
}

impl Listener {
    /// What is next to be known. Pending for ever where nothing will.
    pub async fn next(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }

    /// What went wrong last.
    pub fn trouble(&self) -> Option<String> {
        self.shared.view().trouble.clone()
    }

    /// All objects that the watch knows.
    pub fn all(&self) -> Vec<Arc<Object>> {
        self.shared.view().all()
    }

    /// Says how the object stands in truth: if the watch does not know, it is
    /// taken up anew.
    pub fn stands(&self, truth: Option<&Object>) {
        let known = self.shared.view().get(&self.key);
        let version = |object: Option<&Object>| object.and_then(ResourceExt::resource_version);
        if version(known.as_deref()) != version(truth) {
            self.shared.renew.notify_one();
        }
    }
}

impl Cluster {
    /// Where an object is watched.
    fn scope(&self, kind: Kind, namespace: Option<&str>) -> Scope {
        Scope {
            kind,
            namespace: namespace
                .filter(|_| !self.is_everywhere())
                .map(str::to_owned),
        }
    }

    /// Begins to wait for an object that was seen.
    ///
    /// # Errors
    /// As [`api`](Cluster::api).
    pub(super) async fn listen(&self, kind: Kind, seen: &Object) -> Result<Listener, Failure> {
        let scope = self.scope(kind, seen.namespace().as_deref());
        self.listen_in(scope, key_of(seen), Some(seen)).await
    }

    /// Begins to wait for an object of the whole cluster that nobody has seen.
    ///
    /// # Errors
    /// As [`api`](Cluster::api).
    pub(super) async fn listen_for(&self, kind: Kind, name: &str) -> Result<Listener, Failure> {
        let key = (None, name.to_owned());
        self.listen_in(self.scope(kind, None), key, None).await
    }

    async fn listen_in(
        &self,
        scope: Scope,
        key: Key,
        seen: Option<&Object>,
    ) -> Result<Listener, Failure> {
        let api = self.api(scope.kind, scope.namespace.as_deref()).await?;
        let mut open = self.watches.0.lock();
        // One that has died by itself tells nobody anything.
        if open.get(&scope).is_some_and(|(_, task)| task.is_finished()) {
            open.remove(&scope);
        }
        let (shared, _) = open.entry(scope.clone()).or_insert_with(|| {
            // Volumes are compared with all others.
            let seen = seen.filter(|_| scope.kind != Kind::PersistentVolume);
            let since = seen.and_then(ResourceExt::resource_version);
            let shared = Arc::new(Shared {
                view: Mutex::new(View::new(since.as_deref())),
                renew: Notify::new(),
            });
            let follower = Follower {
                api,
                scope: scope.clone(),
                shared: shared.clone(),
                home: Arc::downgrade(&self.watches.0),
            };
            let task = tokio::spawn(follower.run(since)).abort_handle();
            (shared, task)
        });
        let (id, news) = shared.view().join(&key, seen);
        Ok(Listener {
            shared: shared.clone(),
            key,
            id,
            news,
            scope,
        })
    }

    /// Closes what watches a namespace that is gone, unless somebody waits.
    pub(super) fn has_left(&self, namespace: &str) {
        self.watches.0.lock().retain(|scope, (shared, task)| {
            let stays = scope.namespace.as_deref() != Some(namespace) || shared.view().is_needed();
            if !stays {
                task.abort();
            }
            stays
        });
    }
}
