//! Counting runs that a program of the version before has concluded: those of
//! before an update, and those of services that are still to be updated.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::housekeeping::do_again;
use crate::{app::App, runner::store::StoreError};

/// How often to look for them, which costs next to nothing where there are none.
const AGAIN: Duration = Duration::from_secs(30);

/// So many are counted in a transaction, for which all other writes to an embedded
/// history wait.
const AT_ONCE: u32 = 200;

/// Counts them now and again.
pub(super) async fn count_again(app: Arc<App>, stop: CancellationToken) -> anyhow::Result<()> {
    let work = || {
        let (app, stop) = (app.clone(), stop.clone());
        async move { app.count(&stop).await }
    };
    let told = [
        "runs that an older version concluded are counted",
        "cannot count runs that an older version concluded",
    ];
    do_again(AGAIN, told, stop.clone(), work).await;
    Ok(())
}

impl App {
    /// Finds out whether there are any, before somebody asks for metrics.
    ///
    /// # Errors
    /// If the history cannot be read or written.
    pub(super) async fn look_behind(&self) -> Result<(), StoreError> {
        let bite = self.history.catch_up(None, 1).await?;
        self.meters.caught_up(bite.next.is_some(), bite.left > 0);
        Ok(())
    }

    /// Counts all that there are, and leaves the history to others for as long as it
    /// takes it up; gives how many there were.
    async fn count(&self, stop: &CancellationToken) -> Result<usize, StoreError> {
        let mut pass = Pass::default();
        loop {
            let begun = self.clock.monotonic();
            // What services of the version before conclude meanwhile is the newest.
            let newest = pass.newest_at.is_none_or(|at| at + AGAIN <= begun);
            let until = pass.until.filter(|_| !newest);
            let bite = self.history.catch_up(until, AT_ONCE).await?;
            pass.runs += bite.runs;
            pass.left |= bite.left > 0;
            if newest {
                pass.newest_at = Some(begun);
            }
            if !newest || pass.until.is_none() {
                let Some(next) = bite.next else {
                    self.meters.caught_up(false, pass.left);
                    return Ok(pass.runs);
                };
                // Where none can be counted, nothing is gained by waiting.
                if pass.until.is_none() && bite.runs > 0 {
                    tracing::info!("counting runs that an older version concluded");
                    self.meters.caught_up(true, pass.left);
                }
                pass.until = Some(next);
            }
            let pause = self.clock.monotonic().saturating_sub(begun);
            tokio::select! {
                () = stop.cancelled() => return Ok(pass.runs),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// How far it is.
#[derive(Default)]
struct Pass {
    runs: usize,
    /// Whether some cannot be counted.
    left: bool,
    until: Option<Timestamp>,
    /// When the newest were last counted, by the monotonic clock.
    newest_at: Option<Duration>,
}
