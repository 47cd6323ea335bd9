//! Following one kind of objects: a watch that is taken up where it broke off,
//! with a list where that place is lost.

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::TryStreamExt;
use kube::{
    Api, ResourceExt,
    api::{ListParams, WatchEvent, WatchParams},
};

use super::{Open, Scope, Shared, view::View};
use crate::{
    domain::failure::Failure,
    k8s::{Kind, Object, failure, retry::Pauses},
};

/// How long a watch lasts, in seconds, before it is taken up again.
const WATCH: u32 = 1800;

/// An API server says something at least once a minute, and be it a bookmark.
/// A watch that says nothing for longer is taken up anew: a proxy may have lost
/// its other end.
const SILENCE: Duration = Duration::from_secs(90);

/// How long a watch stays open that nobody needs, at most.
const IDLE: Duration = Duration::from_mins(1);

/// How often a watch is tried that is forbidden, about ten seconds in all: a
/// right that was just given is not known to each replica of the API server at
/// once.
const FORBIDDEN: u32 = 8;

/// The same where there is another way: about three seconds.
const FORBIDDEN_WIDE: u32 = 6;

/// A watch that has lived so long is no sign of trouble.
const WELL: Duration = Duration::from_secs(10);

/// Follows what is in a scope.
pub(super) struct Follower {
    pub api: Api<Object>,
    pub scope: Scope,
    pub shared: Arc<Shared>,
    pub home: Weak<Open>,
}

/// How a watch ended.
enum End {
    /// It is to be taken up where it was.
    Over,
    /// The server does not know that place any more.
    Lost,
    Broken(kube::Error),
}

impl From<kube::Error> for End {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 410 => Self::Lost,
            error => Self::Broken(error),
        }
    }
}

impl Scope {
    /// Whether so many refusals are enough. What lies in no namespace can be
    /// watched in no other way: whoever waits for it waits as long as it can.
    fn gives_up_after(&self, refusals: u32) -> bool {
        let is_in_namespaces = !self.kind.is_of_cluster();
        let enough = match self.namespace {
            Some(_) => FORBIDDEN,
            None => FORBIDDEN_WIDE,
        };
        is_in_namespaces && refusals >= enough
    }
}

impl Follower {
    /// Follows until nobody needs it any more, or it is forbidden.
    pub async fn run(self, since: Option<String>) {
        tokio::select! {
            failure = self.follow(since) => {
                self.close(|view| {
                    view.end(&failure);
                    true
                });
            }
            () = self.idle() => {}
        }
    }

    /// Takes itself out of what is open, if nobody minds. Gives whether it did.
    fn close(&self, may: impl FnOnce(&mut View) -> bool) -> bool {
        let Some(home) = self.home.upgrade() else {
            return true;
        };
        // Nobody can join in between.
        let mut open = home.lock();
        let closed = may(&mut self.shared.view());
        // Another one may have taken its place.
        let is_its = |(shared, _): &(Arc<Shared>, _)| Arc::ptr_eq(shared, &self.shared);
        if closed && open.get(&self.scope).is_some_and(is_its) {
            open.remove(&self.scope);
        }
        closed
    }

    async fn idle(&self) {
        loop {
            tokio::time::sleep(IDLE / 2).await;
            let closed = self.close(|view| {
                let before = std::mem::replace(&mut view.idle, true);
                before && !view.is_needed()
            });
            if closed {
                return;
            }
        }
    }

    /// Gives why it cannot go on.
    async fn follow(&self, mut place: Option<String>) -> Failure {
        let mut pauses = Pauses::default();
        let mut forbidden = 0;
        loop {
            let lists = place.is_none();
            let mut is_well = false;
            let end = match &mut place {
                None => self.list(&mut place).await,
                Some(place) => self.watch(place, &mut is_well).await,
            };
            // A list says nothing of whether the watch after it will do.
            if is_well {
                pauses = Pauses::default();
                forbidden = 0;
            }
            match end {
                Ok(()) | Err(End::Over) => {}
                Err(End::Lost) => place = None,
                Err(End::Broken(kube::Error::Api(status))) if status.is_forbidden() => {
                    forbidden += 1;
                    if self.scope.gives_up_after(forbidden) {
                        let doing = format!("watch {}", self.scope.kind.plural());
                        return failure(&doing, &kube::Error::Api(status));
                    }
                    self.shared.view().trouble = Some(status.message);
                }
                Err(End::Broken(error)) => self.shared.view().trouble = Some(error.to_string()),
            }
            // A list is followed by a watch at once.
            if !lists || place.is_none() {
                tokio::time::sleep(pauses.next().unwrap_or_default()).await;
            }
        }
    }

    /// Looks at everything that is there.
    async fn list(&self, place: &mut Option<String>) -> Result<(), End> {
        let params = ListParams {
            label_selector: self.scope.selector(),
            ..ListParams::default()
        };
        let list = self.api.list(&params).await?;
        let objects = list.items.into_iter().map(|one| self.slim(one)).collect();
        let at = list.metadata.resource_version;
        self.shared.view().begins_with(objects, at.as_deref());
        *place = at;
        Ok(())
    }

    /// Hears what changes after a place, and moves that on.
    async fn watch(&self, place: &mut String, is_well: &mut bool) -> Result<(), End> {
        let params = WatchParams {
            label_selector: self.scope.selector(),
            ..WatchParams::default().timeout(WATCH)
        };
        let events = self.api.watch(&params, place).await?;
        let mut events = pin!(events);
        let mut lives = pin!(tokio::time::sleep(WELL));
        loop {
            let event = tokio::select! {
                event = tokio::time::timeout(SILENCE, events.try_next()) => event,
                () = &mut lives, if !*is_well => {
                    *is_well = true;
                    continue;
                }
                () = self.shared.renew.notified() => return Err(End::Over),
            };
            let Ok(event) = event else {
                return Err(End::Over);
            };
            let Some(event) = event? else {
                return Err(End::Over);
            };
            self.hear(event, place)?;
            *is_well = true;
        }
    }

    fn hear(&self, event: WatchEvent<Object>, place: &mut String) -> Result<(), End> {
        let mut view = self.shared.view();
        view.trouble = None;
        let version = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                let version = object.resource_version();
                view.stands(self.slim(object));
                version
            }
            WatchEvent::Deleted(object) => {
                view.went(&object);
                object.resource_version()
            }
            WatchEvent::Bookmark(bookmark) => Some(bookmark.metadata.resource_version),
            WatchEvent::Error(status) => return Err(kube::Error::Api(status).into()),
        };
        if let Some(version) = version {
            *place = version;
        }
        Ok(())
    }

    /// An object without what nobody asks for: of volumes there may be many.
    fn slim(&self, mut object: Object) -> Object {
        object.metadata.managed_fields = None;
        if self.scope.kind != Kind::PersistentVolume {
            return object;
        }
        object.metadata.annotations = None;
        object.metadata.labels = None;
        if let Some(spec) = object.data["spec"].as_object_mut() {
            const KEPT: [&str; 3] = ["csi", "claimRef", "persistentVolumeReclaimPolicy"];
            spec.retain(|name, _| KEPT.contains(&name.as_str()));
            if let Some(csi) = spec.get_mut("csi").and_then(|csi| csi.as_object_mut()) {
                csi.retain(|name, _| ["driver", "volumeHandle"].contains(&name.as_str()));
            }
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use futures_util::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use kube::{Client, client::Body};
    use serde_json::json;

    use super::*;
    use crate::k8s::{Cluster, until_after};

    /// A cluster whose watches say these lines, one set after the other, and then
    /// nothing; and what it was asked.
    fn cluster(says: Vec<Vec<serde_json::Value>>) -> (Cluster, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let says = Arc::new(Mutex::new(says.into_iter()));
        let heard = asked.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            heard.lock().unwrap().push(request.uri().to_string());
            let lines = says.lock().unwrap().next().unwrap_or_default();
            let said = stream::iter(lines).then(|line| async move {
                let line = format!("{line}\n").into_bytes();
                Body::from(line).frame().await.unwrap()
            });
            let stream = said.chain(stream::pending());
            let answer = http::Response::new(StreamBody::new(stream));
            async move { Ok::<_, std::convert::Infallible>(answer) }
        });
        (Cluster::of(Client::new(service, "default"), "test"), asked)
    }

    fn pod(version: u64, phase: &str) -> serde_json::Value {
        json!({
            "apiVersion": "v1", "kind": "Pod", "status": { "phase": phase },
            "metadata": { "name": "p", "namespace": "n", "uid": "u",
                "resourceVersion": version.to_string(),
                "labels": { "app.kubernetes.io/managed-by": "lifeboat" } },
        })
    }

    async fn running(
        cluster: &Cluster,
        patience: Duration,
    ) -> Result<(), crate::domain::failure::Failure> {
        let seen: Object = serde_json::from_value(pod(1, "Pending")).unwrap();
        until_after(cluster, (Kind::Pod, &seen), patience, |pod| {
            Ok(pod
                .filter(|pod| pod.data["status"]["phase"] == "Running")
                .map(|_| ()))
        })
        .await
    }

    fn bookmark(version: u64) -> serde_json::Value {
        json!({ "type": "BOOKMARK", "object": {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "resourceVersion": version.to_string() } } })
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_goes_silent_is_taken_up_at_its_last_bookmark() {
        let runs = json!({ "type": "MODIFIED", "object": pod(9, "Running") });
        let (cluster, asked) = cluster(vec![vec![bookmark(7)], vec![runs]]);
        let hour = Duration::from_hours(1);
        running(&cluster, hour).await.unwrap();
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 2, "{asked:?}");
        assert!(asked[0].contains("resourceVersion=1"), "{asked:?}");
        assert!(asked[0].contains("allowWatchBookmarks=true"), "{asked:?}");
        assert!(asked[1].contains("resourceVersion=7"), "{asked:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_always_lost_is_asked_for_with_pauses() {
        let count = Arc::new(AtomicUsize::new(0));
        let asked = count.clone();
        let service = tower::service_fn(move |request: http::Request<Body>| {
            asked.fetch_add(1, Ordering::Relaxed);
            let watches = request.uri().query().is_some_and(|q| q.contains("watch="));
            let (code, body) = if watches {
                let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure",
                    "message": "too old", "reason": "Expired", "code": 410 });
                (410, body)
            } else {
                let body = json!({ "kind": "PodList", "apiVersion": "v1", "items": [],
                    "metadata": { "resourceVersion": "1" } });
                (200, body)
            };
            let body = Body::from(body.to_string().into_bytes());
            let answer = http::Response::builder().status(code).body(body);
            async move { answer }
        });
        let cluster = Cluster::of(Client::new(service, "default"), "test");
        running(&cluster, Duration::from_mins(1)).await.unwrap_err();
        let asked = count.load(Ordering::Relaxed);
        assert!((10..60).contains(&asked), "{asked} requests in a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_is_closed_when_nobody_has_waited_for_a_while() {
        let (cluster, asked) = cluster(Vec::new());
        let open = || cluster.watches.0.lock().len();
        let patience = Duration::from_secs(1);
        // Two who give up, one after the other, have one watch.
        for _ in 0..2 {
            let gives_up = tokio::time::timeout(patience, running(&cluster, patience * 100));
            assert!(gives_up.await.is_err());
        }
        assert_eq!(asked.lock().unwrap().len(), 1);
        assert_eq!(open(), 1);
        tokio::time::sleep(IDLE + Duration::from_secs(1)).await;
        assert_eq!(open(), 0);
    }
}
