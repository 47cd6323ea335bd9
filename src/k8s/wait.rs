//! Waiting for an object to become what is needed: by a watch, with an end.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::StreamExt;
use kube::{
    ResourceExt,
    runtime::{WatchStreamExt, utils::Backoff, watcher},
};

use super::{
    Cluster, Kind, Object,
    retry::Pauses,
    watches::{self, Listener, News},
};
use crate::domain::failure::{Failure, FailureKind};

/// How long the API server gets to answer when the time is over.
const LAST_LOOK: Duration = Duration::from_secs(10);

/// Waits until `test` gives a value for an object that was just seen. It is asked
/// about the object as it was seen and after every change, `None` where there is
/// none any more; a lost watch is taken up again, so no state is missed for good.
/// An error of `test` ends the waiting.
///
/// # Errors
/// `Timeout` when `patience` is over; the caller knows how to look closer.
/// `Denied` where it may not be watched.
pub async fn until_after<T>(
    cluster: &Cluster,
    (kind, seen): (Kind, &Object),
    patience: Duration,
    mut test: impl FnMut(Option<&Object>) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    if let Some(value) = test(Some(seen))? {
        return Ok(value);
    }
    let mut wait = Wait {
        cluster,
        kind,
        seen,
        trouble: None,
        listener: None,
    };
    let waiting = async {
        if watches::is_watched(kind, seen) {
            wait.together(&mut test).await
        } else {
            wait.alone(&mut test).await
        }
    };
    if let Ok(result) = tokio::time::timeout(patience, Box::pin(waiting)).await {
        return result;
    }
    // A watch may have gone silent, such as behind a proxy: what counts is how
    // things stand.
    if let Ok(Ok(object)) = tokio::time::timeout(LAST_LOOK, look(cluster, kind, seen)).await {
        if let Some(listener) = &wait.listener {
            listener.stands(object.as_ref());
        }
        if let Some(value) = test(object.as_ref())? {
            let what = kind.named(seen.namespace().as_deref(), &seen.name_any());
            tracing::debug!(what, "is as needed, and the watch has not told");
            return Ok(value);
        }
    }
    Err(wait.too_late(patience))
}

/// Waiting for one object.
struct Wait<'a> {
    cluster: &'a Cluster,
    kind: Kind,
    seen: &'a Object,
    /// What went wrong last with a watch of its own.
    trouble: Option<String>,
    /// Its part in a shared watch.
    listener: Option<Listener>,
}

impl Wait<'_> {
    /// By the watch that all waits share.
    async fn together<T>(
        &mut self,
        test: &mut impl FnMut(Option<&Object>) -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let listener = self.cluster.listen(self.kind, self.seen).await?;
        let mut listener = self.listener.insert(listener);
        let mut news = listener.next().await;
        loop {
            match news {
                News::State(object) => {
                    if let Some(value) = test(object.as_deref())? {
                        return Ok(value);
                    }
                }
                News::Look => {
                    news = look_or_hear(self.cluster, (self.kind, self.seen), listener).await;
                    continue;
                }
                News::Ended(failure) => {
                    self.cluster
                        .narrower(&listener.scope, self.seen, failure)
                        .await?;
                    let anew = self.cluster.listen(self.kind, self.seen).await?;
                    listener = self.listener.insert(anew);
                }
            }
            news = listener.next().await;
        }
    }

    /// By a watch of its own, for what wears no label of ours.
    async fn alone<T>(
        &mut self,
        test: &mut impl FnMut(Option<&Object>) -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let (namespace, name) = (self.seen.namespace(), self.seen.name_any());
        let api = self.cluster.api(self.kind, namespace.as_deref()).await?;
        let mut pauses = Pauses::default();
        loop {
            // The pauses keep errors from coming in a burst; each is followed by
            // another try. The usual ones grow to half a minute, by which a drill
            // would notice too late what its times are measured by.
            let watched = watcher::watch_object(api.clone(), &name);
            let mut states = pin!(watched.backoff(Pauses::default()));
            while let Some(state) = states.next().await {
                match state {
                    Ok(object) => {
                        pauses.reset();
                        self.trouble = None;
                        if let Some(value) = test(object.as_ref())? {
                            return Ok(value);
                        }
                    }
                    Err(error) => {
                        self.trouble = Some(error.to_string());
                        if has_lost_its_place(&error) {
                            break;
                        }
                    }
                }
            }
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
    }

    fn too_late(&self, patience: Duration) -> Failure {
        let (namespace, name) = (self.seen.namespace(), self.seen.name_any());
        let what = self.kind.named(namespace.as_deref(), &name);
        let seconds = patience.as_secs_f64();
        let message = format!("{what} was not as needed within {seconds} s");
        let shared = || self.listener.as_ref().and_then(Listener::trouble);
        let trouble = self.trouble.clone().or_else(shared);
        let told = trouble.map(|error| format!("the watch failed: {error}"));
        Failure::new(FailureKind::Timeout, message).diagnosis(told)
    }
}

/// How an object stands, or what the watch tells before that is known.
async fn look_or_hear(
    cluster: &Cluster,
    (kind, seen): (Kind, &Object),
    listener: &mut Listener,
) -> News {
    let looked = async {
        let mut pauses = Pauses::default();
        loop {
            if let Ok(object) = look(cluster, kind, seen).await {
                return News::State(object.map(Arc::new));
            }
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
    };
    tokio::select! {
        news = listener.next() => news,
        looked = looked => looked,
    }
}

/// How an object stands.
async fn look(cluster: &Cluster, kind: Kind, seen: &Object) -> Result<Option<Object>, Failure> {
    let (namespace, name) = (seen.namespace(), seen.name_any());
    cluster.get(kind, namespace.as_deref(), &name).await
}

/// Whether a watch would ask again and again from a version that the server no
/// longer knows: the watcher lists anew when it hears so in a stream, but not
/// when the request itself is answered so.
fn has_lost_its_place(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 410)
}
