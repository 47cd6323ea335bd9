//! Waiting for an object to become what is needed: by one watch, with an end.

use std::{pin::pin, time::Duration};

use futures_util::{StreamExt, TryStreamExt};
use kube::{
    ResourceExt,
    api::{WatchEvent, WatchParams},
    runtime::{WatchStreamExt, utils::Backoff, watcher},
};

use super::{Cluster, Kind, Object, retry::Pauses};
use crate::domain::failure::{Failure, FailureKind};

/// How long the API server gets to answer when the time is over.
const LAST_LOOK: Duration = Duration::from_secs(10);

/// How long a watch lasts, in seconds, before it is taken up again.
const WATCH: u32 = 290;

/// Which object: kind, namespace, name.
pub type Which<'a> = (Kind, Option<&'a str>, &'a str);

/// Waits until `test` gives a value. It is asked about the object as it stands
/// at first and after every change, `None` where there is none; a lost watch
/// is taken up again, so no state is missed for good. An error of `test` ends
/// the waiting.
///
/// # Errors
/// `Timeout` when `patience` is over; the caller knows how to look closer.
pub async fn until<T>(
    cluster: &Cluster,
    which: Which<'_>,
    patience: Duration,
    test: impl FnMut(Option<&Object>) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    wait(cluster, which, None, patience, test).await
}

/// The same for an object that was just seen: nothing is asked but what has
/// become of it since.
///
/// # Errors
/// As [`until`].
pub async fn until_after<T>(
    cluster: &Cluster,
    (kind, seen): (Kind, &Object),
    patience: Duration,
    test: impl FnMut(Option<&Object>) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let (namespace, name) = (seen.namespace(), seen.name_any());
    let which = (kind, namespace.as_deref(), name.as_str());
    wait(cluster, which, Some(seen), patience, test).await
}

async fn wait<T>(
    cluster: &Cluster,
    which: Which<'_>,
    seen: Option<&Object>,
    patience: Duration,
    mut test: impl FnMut(Option<&Object>) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let (kind, namespace, name) = which;
    let mut trouble = None;
    let waiting = async {
        if let Some(seen) = seen
            && let Some(value) = since(cluster, which, seen, &mut test).await?
        {
            return Ok(value);
        }
        let api = cluster.api(kind, namespace).await?;
        let mut pauses = Pauses::default();
        loop {
            // The pauses keep errors from coming in a burst; each is followed by
            // another try. The usual ones grow to half a minute, by which a drill
            // would notice too late what its times are measured by.
            let watched = watcher::watch_object(api.clone(), name);
            let mut states = pin!(watched.backoff(Pauses::default()));
            while let Some(state) = states.next().await {
                match state {
                    Ok(object) => {
                        pauses.reset();
                        trouble = None;
                        if let Some(value) = test(object.as_ref())? {
                            return Ok(value);
                        }
                    }
                    Err(error) => {
                        let lost = has_lost_its_place(&error);
                        trouble = Some(error);
                        if lost {
                            break;
                        }
                    }
                }
            }
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
    };
    if let Ok(result) = tokio::time::timeout(patience, waiting).await {
        return result;
    }
    // A watch may have gone silent, such as behind a proxy: what counts is how
    // things stand.
    let last = tokio::time::timeout(LAST_LOOK, cluster.get(kind, namespace, name)).await;
    if let Ok(Ok(object)) = last
        && let Some(value) = test(object.as_ref())?
    {
        return Ok(value);
    }
    let what = kind.named(namespace, name);
    let seconds = patience.as_secs_f64();
    let failure = Failure::new(
        FailureKind::Timeout,
        format!("{what} was not as needed within {seconds} s"),
    );
    Err(match trouble {
        Some(error) => failure.diagnosis([format!("the watch failed: {error}")]),
        None => failure,
    })
}

/// Whether a watch would ask again and again from a version that the server no
/// longer knows: the watcher lists anew when it hears so in a stream, but not
/// when the request itself is answered so.
fn has_lost_its_place(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 410)
}

/// One watch from the state that was seen; `None` where it ends or breaks.
async fn since<T>(
    cluster: &Cluster,
    (kind, namespace, name): Which<'_>,
    seen: &Object,
    test: &mut impl FnMut(Option<&Object>) -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    if let Some(value) = test(Some(seen))? {
        return Ok(Some(value));
    }
    let params = WatchParams::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(WATCH);
    let version = seen.resource_version().unwrap_or_default();
    let api = cluster.api(kind, namespace).await?;
    let Ok(events) = api.watch(&params, &version).await else {
        return Ok(None);
    };
    let mut events = pin!(events);
    let longest = Duration::from_secs(u64::from(WATCH) + 5);
    while let Ok(Ok(Some(event))) = tokio::time::timeout(longest, events.try_next()).await {
        let state = match event {
            WatchEvent::Added(object) | WatchEvent::Modified(object) => Some(object),
            WatchEvent::Deleted(_) => None,
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(_) => break,
        };
        if let Some(value) = test(state.as_ref())? {
            return Ok(Some(value));
        }
    }
    Ok(None)
}
