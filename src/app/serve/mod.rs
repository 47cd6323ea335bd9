//! The service: everything that lives as long as it does.
//!
//! Its tasks need each other: where one of them ends by itself, all are ended,
//! and the process says why. Whoever started it starts it again.

mod backups;
mod classes;
mod counting;
mod events;
mod files;
mod housekeeping;
mod launcher;
mod noting;
mod renewal;
mod reviews;
mod telling;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use rustls::sign::CertifiedKey;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use self::{
    classes::Classes,
    counting::count_again,
    files::{Reading, read_again, renew_again},
    housekeeping::{Sweeper, forget_again, sweep_again, tell_sweep},
    launcher::Launcher,
    renewal::Renewal,
    telling::{notifier, notify_again},
};
use super::App;
use crate::{
    api::{self, Api, Hub, Renewed, Reviews, Started, TlsListener},
    domain::{
        budget::Limits,
        failure::{Failure, FailureKind},
    },
    history::tallies::Followed,
    metrics::Board,
    service::{self, Parts},
};

/// The parts of a service, each by what it is called and how it ended.
type Tasks = JoinSet<(&'static str, anyhow::Result<()>)>;

/// How a service is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files and folders with drills.
    pub drills: Vec<PathBuf>,
    pub listen: SocketAddr,
    /// A file with the tokens that are taken. Without it, only this machine may
    /// ask.
    pub tokens: Option<PathBuf>,
    /// Whether the API server of the cluster that this process is in is asked
    /// about other tokens.
    pub kubernetes_auth: bool,
    /// A file with those who are told how runs ended.
    pub notify: Option<PathBuf>,
    /// Certificates and key of HTTPS, where it is served.
    pub tls: Option<[PathBuf; 2]>,
    pub limits: Limits,
    /// How long runs may go on when the service is to stop.
    pub grace: Duration,
    /// Whether those whose copies go on are left to the service that starts next
    /// instead.
    pub park: bool,
    pub sweep_every: Duration,
    /// How long runs are kept; for ever where absent.
    pub keep: Option<Duration>,
}

impl Options {
    /// Reads all that they name, but for drill files, and refuses what [`serve`] would
    /// refuse before it begins anything.
    ///
    /// # Errors
    /// If something is wrong with them.
    pub fn check(&self) -> anyhow::Result<()> {
        self.read()?;
        Ok(self.closed()?)
    }

    fn read(&self) -> anyhow::Result<Renewal> {
        let Self {
            tokens,
            tls,
            notify,
            ..
        } = self.clone();
        Renewal::read(tokens, tls, notify)
    }

    /// Without tokens, only this machine may ask.
    fn closed(&self) -> Result<(), Failure> {
        let guarded = self.tokens.is_some() || self.kubernetes_auth;
        if guarded || self.listen.ip().is_loopback() {
            return Ok(());
        }
        let message = format!("refusing to serve on {} to everybody", self.listen);
        let failure = Failure::new(FailureKind::Denied, message);
        Err(failure.hint("name the tokens that are taken with --tokens, or listen on 127.0.0.1"))
    }
}

/// Serves until `stop`.
///
/// # Errors
/// If the service cannot begin, or one of its parts cannot go on.
pub async fn serve(mut app: App, options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let renewal = options.read()?;
    let renewed = renewal.all();
    let Renewal {
        tokens,
        tls,
        targets,
    } = renewal;
    let _alone = match app.claim {
        Some(_) => None,
        None => Some(alone(&app.state.history())?),
    };
    app.serving = true;
    let app = Arc::new(app);
    options.closed()?;
    let listener = listen(options.listen).await?;

    let beating = app.beating();
    let said = beating.beat().await;
    said.with_context(|| app.in_history())?;
    // Runs may go on after `stop`, and are this process's until the end.
    let beating = tokio::spawn(beating.keep());
    if app.claim.is_none() {
        // What the service before left on this machine must not look busy, but for
        // what is taken up as soon as there is somebody to do so.
        tell_sweep(&app, &app.sweep(Some(&[]), &[]).await?);
    }

    app.look_behind().await.with_context(|| app.in_history())?;

    let hub = Arc::new(Hub::default());
    let counted = Arc::new(Followed::default());
    let board = Arc::new(Board::new(counted.clone(), app.meters.clone()));
    let (service, keeper) = service::start(parts(&app, &hub, &options, stop.clone()));
    let (reading, catalog) = Reading::first(&app, &options.drills).await?;
    let catalog = Arc::new(catalog);
    service.replace(catalog.drills()).await?;
    // From now on a sweep has somebody to give runs to that can be taken up.
    let _ = app.service.set(service.clone());
    let (known, catalogs) = watch::channel(catalog);
    let (swept, sweeps) = watch::channel(None);
    let sweeper = Arc::new(Sweeper {
        app: app.clone(),
        swept,
    });
    let started = Arc::new(Started::default());
    let api = Arc::new(Api {
        clock: app.clock.clone(),
        history: app.history.clone(),
        service: service.clone(),
        catalog: catalogs,
        board,
        counted,
        hub,
        told: api::Told::default(),
        stood: api::Stood::default(),
        sweeps,
        housekeeping: sweeper.clone(),
        tokens,
        reviews: options
            .kubernetes_auth
            .then(|| Reviews::new(app.clone(), app.clock.clone())),
        started: started.clone(),
    });
    let address = listener.local_addr()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(%address, scheme, "serving");

    // Nobody is answered before. What a sweep finds elsewhere may take long to remove,
    // and keeps nobody waiting.
    started.done();
    let mut tasks = Tasks::new();
    let (keeping, silent) = until_idle(keeper, stop.clone());
    tasks.spawn(async move { ("the keeper", keeping.await) });
    let answering = answer(listener, tls, api, silent);
    tasks.spawn(async move { ("the HTTP server", answering.await) });
    let renewing = renew_again(renewed, stop.clone());
    tasks.spawn(async move { ("the reader of tokens and certificates", renewing.await) });
    let history = app.history.clone();
    let reading = read_again(reading, history, known, service, stop.clone());
    tasks.spawn(async move { ("the reader of drill files", reading.await) });
    if let Some(targets) = targets {
        let telling = notify_again(notifier(&app)?, targets, app.meters.clone(), stop.clone());
        tasks.spawn(async move { ("the notifier", telling.await) });
    }
    keep_house(
        &mut tasks,
        sweeper,
        options.sweep_every,
        options.keep,
        &stop,
    );
    let ended = end_all(tasks, beating, &stop).await;
    app.beating().leave().await;
    ended
}

fn parts(app: &Arc<App>, hub: &Arc<Hub>, options: &Options, stop: CancellationToken) -> Parts {
    Parts {
        clock: app.clock.clone(),
        agenda: app.history.clone(),
        requests: app.history.clone(),
        replicas: app.history.clone(),
        launch: Arc::new(Launcher {
            app: app.clone(),
            hub: hub.clone(),
            classes: Classes::default(),
        }),
        backups: app.clone(),
        limits: options.limits,
        grace: options.grace,
        park: options.park,
        stop,
    }
}

/// The keeper's work, and what waits until there is nobody to answer any more. Runs may
/// go on for a while once the service is to stop: who looks at them or wants to end one
/// is answered until the last one has ended.
fn until_idle(
    keeper: JoinHandle<()>,
    stop: CancellationToken,
) -> (
    impl Future<Output = anyhow::Result<()>>,
    impl Future<Output = ()>,
) {
    let idle = CancellationToken::new();
    let keeping = idle.clone().drop_guard();
    let kept = async move {
        let _keeping = keeping;
        Ok(keeper.await?)
    };
    let silent = async move {
        stop.cancelled().await;
        idle.cancelled().await;
    };
    (kept, silent)
}

/// Begins what is done now and again, whatever runs.
fn keep_house(
    tasks: &mut Tasks,
    sweeper: Arc<Sweeper>,
    sweep_every: Duration,
    keep: Option<Duration>,
    stop: &CancellationToken,
) {
    let app = sweeper.app.clone();
    let sweeping = sweep_again(sweeper, sweep_every, stop.clone());
    tasks.spawn(async move { ("the sweeper", sweeping.await) });
    let counting = count_again(app.clone(), stop.clone());
    tasks.spawn(async move { ("what counts runs of before", counting.await) });
    let forgetting = forget_again(app, keep, stop.clone());
    tasks.spawn(async move { ("what forgets old runs", forgetting.await) });
}

/// Waits for all tasks, and ends the heartbeat once all have ended.
async fn end_all(
    tasks: Tasks,
    mut beating: JoinHandle<()>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let ended = tokio::select! {
        ended = end(tasks, stop) => ended,
        _ = &mut beating => return Err(anyhow::anyhow!("the heartbeat ended by itself")),
    };
    // Waited for, or it might say once more that this process lives.
    beating.abort();
    drop(beating.await);
    ended
}

/// Waits for all tasks. One that ends too early ends the others.
async fn end(mut tasks: Tasks, stop: &CancellationToken) -> anyhow::Result<()> {
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

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let message = format!("cannot listen on {address}: {error}");
        Failure::new(FailureKind::Unavailable, message)
            .hint("choose another address with --listen")
            .into()
    })
}

async fn answer(
    listener: TcpListener,
    tls: Option<Arc<Renewed<CertifiedKey>>>,
    api: Arc<Api>,
    end: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let router = api::router(api);
    match tls {
        Some(tls) => api::answer(TlsListener::new(listener, tls)?, router, end).await,
        None => api::answer(listener, router, end).await,
    }
    Ok(())
}
