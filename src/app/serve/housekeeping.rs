//! Sweeping and forgetting, now and again.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    api::Housekeeping,
    app::App,
    domain::failure::{Failure, FailureKind},
    metrics::Sweep,
    runner::store::StoreError,
    sweeper::Swept,
};

/// When to sweep again after that was not possible.
const SWEEP_AGAIN: Duration = Duration::from_secs(30);

/// How often old runs are forgotten, and how many of them at once.
const FORGET_EVERY: Duration = Duration::from_hours(1);
const FORGET_AT_ONCE: u32 = 1000;

/// Sweeps, and tells how it went.
pub(super) struct Sweeper {
    pub app: Arc<App>,
    pub swept: watch::Sender<Option<Sweep>>,
}

impl Sweeper {
    async fn sweep(&self) -> anyhow::Result<Swept> {
        let done = self.app.sweep(None, &[]).await?;
        tell_sweep(&self.app, &done);
        let sweep = Sweep {
            at: self.app.clock.now(),
            leaks: done.leaks.len(),
            nobodys: done.nobodys().cloned().collect(),
            unseen: done.unseen.len(),
        };
        self.swept.send_replace(Some(sweep));
        Ok(done)
    }
}

/// Sweeps now and again.
pub(super) async fn sweep_again(
    sweeper: Arc<Sweeper>,
    every: Duration,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let mut pause = every;
        if let Err(error) = sweeper.sweep().await {
            tracing::warn!(error = format!("{error:#}"), "cannot sweep");
            pause = pause.min(SWEEP_AGAIN);
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sweeper.app.to_sweep.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Forgets what is old, now and again.
pub(super) async fn forget_again(
    app: Arc<App>,
    keep: Option<Duration>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Some(keep) = keep else {
        stop.cancelled().await;
        return Ok(());
    };
    let work = || {
        let app = app.clone();
        async move { app.forget(keep).await }
    };
    let told = ["old runs are forgotten", "cannot forget old runs"];
    do_again(FORGET_EVERY, told, stop, work).await;
    Ok(())
}

/// Does something with runs now and again until `stop`, and tells of it: that it
/// was done, where it was with any, or that it could not be.
pub(super) async fn do_again<F: Future<Output = Result<usize, StoreError>>>(
    every: Duration,
    [well, failed]: [&str; 2],
    stop: CancellationToken,
    work: impl Fn() -> F,
) {
    loop {
        // It may take long, and may be left at any instant.
        let done = tokio::select! {
            () = stop.cancelled() => return,
            done = work() => done,
        };
        match done {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "{well}"),
            Err(error) => {
                let error = Failure::from(&error).message;
                tracing::warn!(error, "{failed}");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
    }
}

impl App {
    /// Forgets what is older than `keep`, in small bites; gives how many runs
    /// that were. The clock that is behind counts: what is forgotten is gone.
    async fn forget(&self, keep: Duration) -> Result<usize, StoreError> {
        let now = self.clock.now().min(self.history.now().await?);
        let before = now - keep;
        self.forget_reports(before);
        let mut all = 0;
        loop {
            let gone = self.history.forget(before, FORGET_AT_ONCE).await?;
            all += gone.runs;
            if gone.runs.max(gone.fires) < FORGET_AT_ONCE as usize {
                return Ok(all);
            }
        }
    }

    /// Removes reports that are as old; another process may have forgotten their
    /// runs. They can be drawn anew.
    fn forget_reports(&self, before: jiff::Timestamp) {
        let before = std::time::SystemTime::from(before);
        let reports = std::fs::read_dir(self.state.reports())
            .into_iter()
            .flatten();
        for report in reports.flatten() {
            let written = report.metadata().and_then(|is| is.modified());
            if written.is_ok_and(|written| written < before) {
                let _ = std::fs::remove_file(report.path());
            }
        }
    }
}

/// Logs and counts what a sweep did.
pub(super) fn tell_sweep(app: &App, done: &Swept) {
    app.meters.swept_away(done.removed.len());
    for run in &done.runs {
        tracing::warn!(run = %run.id, drill = run.drill, "ended a run whose process died");
    }
    for resource in &done.removed {
        tracing::warn!(resource = resource.key(), "removed what belonged to no run");
    }
    for leak in &done.leaks {
        tracing::error!(
            resource = leak.resource.key(),
            reason = leak.reason,
            "cannot remove"
        );
    }
    for failure in &done.unseen {
        tracing::warn!(%failure, "not looked at");
    }
}

#[async_trait]
impl Housekeeping for Sweeper {
    async fn sweep(&self) -> Result<serde_json::Value, Failure> {
        let done = self.sweep().await.map_err(|error| {
            let known = error.downcast_ref::<StoreError>().map(Failure::from);
            known.unwrap_or_else(|| Failure::new(FailureKind::Internal, format!("{error:#}")))
        })?;
        Ok(done.json())
    }
}
