//! Waiting for a server's first connection.

use std::time::Duration;

use super::Layout;
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::{
        Context,
        postgresql::{endpoint::ScratchCluster, session::Session},
    },
    process::Running,
};

/// The pause between two attempts grows from the first to the second.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Tries to connect until it works, the server ends, or the run is cancelled.
pub(super) async fn wait(
    cx: &Context,
    running: &mut Running,
    cluster: &ScratchCluster,
    layout: &Layout,
) -> Result<Session, Failure> {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Ok(session) = Session::open(&cluster.endpoint(), cx.run).await {
            return Ok(session);
        }
        if let Ok(Some(status)) = running.child.try_wait() {
            return Err(Failure::new(
                FailureKind::Unavailable,
                format!("the scratch server ended with {status} before it took connections"),
            )
            .diagnosis(layout.log_tail()));
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cx.cancel.cancelled() => {
                return Err(Failure::new(
                    FailureKind::Cancelled,
                    "stopped on request while the scratch server was starting",
                )
                .diagnosis(layout.log_tail()));
            }
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
