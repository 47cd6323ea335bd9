//! Counting runs that a program of the version before has concluded: those of
//! before an update, and those of services that are still to be updated.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{app::App, domain::failure::Failure, runner::store::StoreError};

/// How often to look for them, which costs next to nothing where there are none.
const AGAIN: Duration = Duration::from_secs(30);

/// So many are counted in a transaction, for which all other writes to an embedded
/// history wait.
const AT_ONCE: u32 = 200;

/// Counts them now and again.
pub(super) async fn count_again(app: Arc<App>, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        match app.count(&stop).await {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "runs that an older version concluded are counted"),
            Err(error) => {
                let error = Failure::from(&error).message;
                tracing::warn!(error, "cannot count runs that an older version concluded");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

impl App {
    /// Counts all that there are, and leaves the history to others for as long as it
    /// takes it up; gives how many there were.
    async fn count(&self, stop: &CancellationToken) -> Result<usize, StoreError> {
        let (mut all, mut until) = (0, None);
        loop {
            let begun = self.clock.monotonic();
            let bite = self.history.catch_up(until, AT_ONCE).await?;
            all += bite.runs;
            let Some(next) = bite.next else {
                self.meters.caught_up(true);
                return Ok(all);
            };
            if until.is_none() {
                self.meters.caught_up(false);
                tracing::info!("counting runs that an older version concluded");
            }
            until = Some(next);
            let pause = self.clock.monotonic().saturating_sub(begun);
            tokio::select! {
                () = stop.cancelled() => return Ok(all),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
