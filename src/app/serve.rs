//! The service: everything that lives as long as it does.
//!
//! Its tasks need each other: where one of them ends by itself, all are ended,
//! and the process says why. Whoever started it starts it again.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use async_trait::async_trait;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{App, Wanted, reports};
use crate::{
    api::{self, Api, Housekeeping, Hub, Tokens},
    catalog::{self, Catalog, Watch},
    domain::{
        budget::Limits,
        failure::{Failure, FailureKind},
        record::RunRecord,
    },
    metrics::{Board, Sweep},
    runner::store::StoreError,
    service::{self, Launch, Parts, Service, Start},
    sweeper::Swept,
};

/// How long answers may take to end once the service stops.
const DRAINING: Duration = Duration::from_secs(5);

/// When to sweep again after that was not possible.
const SWEEP_AGAIN: Duration = Duration::from_secs(30);

/// How often old runs are forgotten, and how many of them at once.
const FORGET_EVERY: Duration = Duration::from_hours(1);
const FORGET_AT_ONCE: u32 = 1000;

/// How a service is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files and folders with drills.
    pub drills: Vec<PathBuf>,
    pub listen: SocketAddr,
    /// A file with the tokens that are taken. Without it, only this machine may
    /// ask.
    pub tokens: Option<PathBuf>,
    pub limits: Limits,
    /// How long runs may go on when the service is to stop.
    pub grace: Duration,
    pub sweep_every: Duration,
    /// How long runs are kept; for ever where absent.
    pub keep: Option<Duration>,
}

/// Serves until `stop`.
///
/// # Errors
/// If the service cannot begin, or one of its parts cannot go on.
pub async fn serve(mut app: App, options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let tokens = options.tokens.as_deref().map(Tokens::read).transpose()?;
    let _alone = match app.claim {
        Some(_) => None,
        None => Some(alone(&app.state.history())?),
    };
    app.serving = true;
    let app = Arc::new(app);
    let listener = listen(options.listen, tokens.is_some()).await?;

    let beating = app.beating();
    let said = beating.beat().await;
    said.with_context(|| app.in_history())?;
    // What the service before left on this machine must not look busy.
    app.sweep(Some(&[]), &[]).await?;

    let hub = Arc::new(Hub::default());
    let board = Arc::new(Board::new()?);
    let (service, keeper) = service::start(Parts {
        clock: app.clock.clone(),
        agenda: app.history.clone(),
        launch: Arc::new(Launcher {
            app: app.clone(),
            hub: hub.clone(),
            board: board.clone(),
        }),
        limits: options.limits,
        grace: options.grace,
        stop: stop.clone(),
    });
    // Looked at before they are read: what changes meanwhile is read once more.
    let looks = catalog::look(&options.drills);
    let catalog = Arc::new(Catalog::default().read(&options.drills));
    tell(&catalog, &Catalog::default());
    service.replace(catalog.drills()).await?;
    let (known, catalogs) = watch::channel(catalog);
    let (swept, sweeps) = watch::channel(None);
    let api = Arc::new(Api {
        clock: app.clock.clone(),
        history: app.history.clone(),
        service: service.clone(),
        catalog: catalogs,
        board,
        hub,
        sweeps,
        housekeeping: app.clone(),
        tokens,
        since: app.clock.now(),
    });
    let address = listener.local_addr()?;
    tracing::info!(%address, "serving");

    let mut tasks = JoinSet::new();
    tasks.spawn(async move { ("the keeper", keeper.await.map_err(Into::into)) });
    let until = stop.clone();
    tasks.spawn(async move { ("the HTTP server", answer(listener, api, until).await) });
    let until = stop.clone();
    let reading = read_again((options.drills, looks), known, service, until);
    tasks.spawn(async move { ("the reader of drill files", reading.await) });
    let sweeping = sweep_again(app.clone(), options.sweep_every, swept, stop.clone());
    tasks.spawn(async move { ("the sweeper", sweeping.await) });
    let forgetting = forget_again(app.clone(), options.keep, stop.clone());
    tasks.spawn(async move { ("what forgets old runs", forgetting.await) });
    // Runs may go on after `stop`, and are this process's until the end.
    let beating = tokio::spawn(beating.keep());
    let ended = tokio::select! {
        ended = end(tasks, &stop) => ended,
        _ = beating => Err(anyhow::anyhow!("the heartbeat ended by itself")),
    };
    app.beating().leave().await;
    ended
}

/// Waits for all tasks. One that ends too early ends the others.
async fn end(
    mut tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut first = Ok(());
    while let Some(ended) = tasks.join_next().await {
        let early = !stop.is_cancelled();
        let failed = match ended {
            Ok((name, Err(error))) => Some(error.context(format!("{name} failed"))),
            Ok((name, Ok(()))) if early => Some(anyhow::anyhow!("{name} ended by itself")),
            Ok(_) => None,
            Err(error) => Some(anyhow::Error::new(error).context("a part of the service failed")),
        };
        if let (Some(error), Ok(())) = (failed, &first) {
            first = Err(error);
        }
        stop.cancel();
    }
    first
}

/// The right to be the only service on a history.
fn alone(history: &Path) -> anyhow::Result<std::fs::File> {
    let path = history.with_extension("serve");
    let doing = || format!("cannot lock {}", path.display());
    let file = std::fs::File::create(&path).with_context(doing)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            let message = format!(
                "another service already uses the history {}",
                history.display()
            );
            Err(Failure::new(FailureKind::Conflict, message)
                .hint(
                    "an embedded history serves one service: stop the other one, or give this \
                       one its own place with --state-dir",
                )
                .into())
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error).with_context(doing),
    }
}

async fn listen(address: SocketAddr, guarded: bool) -> anyhow::Result<TcpListener> {
    if !guarded && !address.ip().is_loopback() {
        let message = format!("refusing to serve on {address} to everybody");
        return Err(Failure::new(FailureKind::Denied, message)
            .hint("name the tokens that are taken with --tokens, or listen on 127.0.0.1")
            .into());
    }
    TcpListener::bind(address).await.map_err(|error| {
        let message = format!("cannot listen on {address}: {error}");
        Failure::new(FailureKind::Unavailable, message)
            .hint("choose another address with --listen")
            .into()
    })
}

async fn answer(
    listener: TcpListener,
    api: Arc<Api>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let asked = stop.clone();
    let serving = axum::serve(listener, api::router(api))
        .with_graceful_shutdown(async move { asked.cancelled().await });
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAINING).await;
    };
    tokio::select! {
        ended = serving => ended.map_err(Into::into),
        // Streams have no end of their own.
        () = late => Ok(()),
    }
}

/// Reads drill files whenever they look otherwise than they did.
async fn read_again(
    (places, mut looked): (Vec<PathBuf>, catalog::Looks),
    known: watch::Sender<Arc<Catalog>>,
    service: Service,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut changes = Watch::new(places.clone());
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = changes.changed() => {}
        }
        let looks = catalog::look(&places);
        if looks == looked {
            continue;
        }
        let before = known.borrow().clone();
        let (places, last) = (places.clone(), before.clone());
        let read = tokio::task::spawn_blocking(move || last.read(&places)).await?;
        if read != *before {
            tell(&read, &before);
            match service.replace(read.drills()).await {
                Ok(()) => drop(known.send(Arc::new(read))),
                Err(_) if stop.is_cancelled() => return Ok(()),
                Err(error) => {
                    // They are read again soon.
                    tracing::warn!(%error, "cannot take over changed drill files");
                    continue;
                }
            }
        }
        looked = looks;
    }
}

fn tell(catalog: &Catalog, before: &Catalog) {
    tracing::info!(drills = catalog.drills().len(), "drill files read");
    for (file, error) in catalog.broken() {
        if before.broken().get(file) != Some(error) {
            let file = file.display();
            tracing::error!(%file, %error, "a drill file cannot be used; what it said before holds");
        }
    }
}

/// Sweeps now and again.
async fn sweep_again(
    app: Arc<App>,
    every: Duration,
    swept: watch::Sender<Option<Sweep>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let mut pause = every;
        match app.sweep(None, &[]).await {
            Ok(done) => {
                log_sweep(&done);
                let sweep = Sweep {
                    at: app.clock.now(),
                    leaks: done.leaks.len(),
                    unseen: done.unseen.len(),
                };
                swept.send_replace(Some(sweep));
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "cannot sweep");
                pause = pause.min(SWEEP_AGAIN);
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = app.to_sweep.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Forgets what is old, now and again.
async fn forget_again(
    app: Arc<App>,
    keep: Option<Duration>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let Some(keep) = keep else {
        stop.cancelled().await;
        return Ok(());
    };
    loop {
        match app.forget(keep).await {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "old runs are forgotten"),
            Err(error) => {
                let error = Failure::from(&error).message;
                tracing::warn!(error, "cannot forget old runs");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(FORGET_EVERY) => {}
        }
    }
}

impl App {
    /// Forgets what is older than `keep`, in small bites; gives how many runs
    /// that were.
    async fn forget(&self, keep: Duration) -> Result<usize, StoreError> {
        let before = self.clock.now() - keep;
        let mut all = 0;
        loop {
            let gone = self.history.forget(before, FORGET_AT_ONCE).await?;
            for run in &gone {
                // There need not be one here.
                let _ = std::fs::remove_file(self.state.report(*run));
            }
            all += gone.len();
            if gone.len() < FORGET_AT_ONCE as usize {
                return Ok(all);
            }
        }
    }
}

fn log_sweep(done: &Swept) {
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
impl Housekeeping for App {
    async fn sweep(&self) -> Result<serde_json::Value, Failure> {
        let done = self.sweep(None, &[]).await.map_err(|error| {
            let known = error.downcast_ref::<StoreError>().map(Failure::from);
            known.unwrap_or_else(|| Failure::new(FailureKind::Internal, format!("{error:#}")))
        })?;
        Ok(done.json())
    }
}

/// Makes the runs of the service.
struct Launcher {
    app: Arc<App>,
    hub: Arc<Hub>,
    board: Arc<Board>,
}

#[async_trait]
impl Launch for Launcher {
    async fn run(&self, start: Start) -> Result<RunRecord, StoreError> {
        if let Some(due) = start.due {
            let late = self.app.clock.now().duration_since(due);
            self.board
                .began(Duration::try_from(late).unwrap_or_default());
        }
        let wanted = Wanted {
            id: start.id,
            scheduled_for: start.scheduled_for,
            request_key: start.request_key,
            demand: start.demand,
            faults: &[],
            listeners: vec![self.hub.clone()],
            cancel: start.cancel,
        };
        let carried_out = self.app.carry_out(&start.drill, wanted).await;
        let record = carried_out.inspect_err(|error| {
            // Of what was given up something may be left.
            if !error.is_refusal() {
                self.app.to_sweep.notify_one();
            }
        })?;
        // Without it the result is as good: it can be drawn anew.
        if let Err(error) = reports::write(&record, &self.app.state.report(record.id)) {
            tracing::warn!(run = %record.id, error = format!("{error:#}"), "no report is kept");
        }
        Ok(record)
    }
}
