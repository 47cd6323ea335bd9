//! Getting through to the source, or to a bucket.
//!
//! A network plugin lets a new pod out some time after the pod
//! has started, and what it sends before that is lost. So whoever does not get
//! through at first tries again.

use std::time::Duration;

use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::SourceFacts,
    },
    engine::{Context, Engine},
};

/// How long the network may take to let the pod through. A busy node takes
/// seconds.
const PATIENCE: Duration = Duration::from_secs(45);

const PAUSE: Duration = Duration::from_millis(250);

/// Looks at the source as soon as it can be reached.
pub(super) async fn inspect(
    cx: &Context,
    engine: &dyn Engine,
) -> Result<Option<SourceFacts>, Failure> {
    through(cx, || engine.inspect(cx)).await
}

/// Tries until something outside can be reached.
pub(super) async fn through<T, F>(cx: &Context, attempt: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let until = cx.clock.monotonic() + PATIENCE;
    loop {
        match attempt().await {
            Err(failure)
                if failure.kind == FailureKind::Unavailable && cx.clock.monotonic() < until =>
            {
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = cx.cancel.cancelled() => return Err(failure),
                }
            }
            ended => return ended,
        }
    }
}
