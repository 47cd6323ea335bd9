//! Waiting for an object to become what is needed: by one watch, with an end.

use std::{pin::pin, time::Duration};

use futures_util::TryStreamExt;
use kube::runtime::{WatchStreamExt, watcher};

use super::{Cluster, Kind, Object};
use crate::domain::failure::{Failure, FailureKind};

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
    mut test: impl FnMut(Option<&Object>) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    let (kind, namespace, name) = which;
    let mut trouble = None;
    let waiting = async {
        let api = cluster.api(kind, namespace).await?;
        let watched = watcher::watch_object(api, name);
        // The backoff keeps errors from coming in a burst; each is followed by
        // another try.
        let mut states = pin!(watched.default_backoff());
        loop {
            match states.try_next().await {
                Ok(Some(object)) => {
                    trouble = None;
                    if let Some(value) = test(object.as_ref())? {
                        return Ok(value);
                    }
                }
                Ok(None) => {}
                Err(error) => trouble = Some(error),
            }
        }
    };
    let result = tokio::time::timeout(patience, waiting).await;
    result.unwrap_or_else(|_| {
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
    })
}
