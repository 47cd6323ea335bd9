//! The only place where adapters meet the ports.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::{Clock, SystemClock},
    domain::{
        event::Listener,
        failure::{Failure, FailureKind},
        ids::RunId,
        record::RunRecord,
    },
    engine::{Engine, Fault, postgresql::PostgresEngine, sqlite::SqliteEngine},
    history::{History, sqlite::SqliteHistory},
    process::{Account, Launcher, account, owner::Identity},
    runner::{
        execute::{Request, Runner},
        hook::{Hook, NoHook},
        store::{Owner, StoreError},
    },
    sandbox::{Sandbox, local::LocalSandbox},
    spec::drill::{Drill, RecoveryPointSource, Workload},
    sweeper::{self, Swept},
};

/// Where things are kept.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// `explicit`, or the user's own place.
    ///
    /// # Errors
    /// If there is no home directory to put it in.
    pub fn choose(explicit: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(path) = explicit {
            let path = std::path::absolute(&path)
                .with_context(|| format!("cannot use {} as state directory", path.display()))?;
            return Ok(Self(path));
        }
        if nix::unistd::geteuid().is_root() {
            return Ok(Self(PathBuf::from("/var/lib/lifeboat")));
        }
        if let Some(state) = std::env::var_os("XDG_STATE_HOME") {
            return Ok(Self(PathBuf::from(state).join("lifeboat")));
        }
        let home = std::env::var_os("HOME").context("HOME is not set; use --state-dir")?;
        Ok(Self(PathBuf::from(home).join(".local/state/lifeboat")))
    }

    /// The embedded history.
    #[must_use]
    pub fn history(&self) -> PathBuf {
        self.0.join("history.db")
    }

    /// Scratch directories, where a drill does not say otherwise.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.0.join("scratch")
    }

    /// The HTML report of a run.
    #[must_use]
    pub fn report(&self, run: RunId) -> PathBuf {
        self.0.join("reports").join(format!("{run}.html"))
    }

    fn create(&self) -> anyhow::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        // Others may pass through to a scratch directory that is theirs, and
        // see nothing on the way.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&self.0)
            .map_err(|error| {
                let place = self.0.display();
                let message = format!("cannot make the state directory {place}: {error}");
                Failure::new(FailureKind::Denied, message)
                    .hint("choose a place where this user may write with --state-dir")
            })?;
        Ok(())
    }
}

/// A process that can run drills.
pub struct App {
    pub state: StateDir,
    pub history: Arc<dyn History>,
    pub clock: Arc<dyn Clock>,
    pub identity: Identity,
    pub account: Option<Account>,
    hook: Arc<dyn Hook>,
}

impl App {
    /// Opens everything.
    ///
    /// # Errors
    /// If the state directory or the history cannot be used.
    pub async fn open(state: StateDir) -> anyhow::Result<Self> {
        state.create()?;
        let path = state.history();
        let history = SqliteHistory::open(&path)
            .await
            .with_context(|| format!("cannot use the history {}", path.display()))?;
        Ok(Self {
            state,
            history: Arc::new(history),
            clock: Arc::new(SystemClock::new()),
            identity: Identity::current()?,
            account: account::unprivileged(None)?,
            hook: hook(),
        })
    }

    /// Runs a drill.
    ///
    /// # Errors
    /// If the history cannot be written, or the drill is running already.
    pub async fn run(
        &self,
        drill: &Drill,
        faults: &[Fault],
        listeners: Vec<Arc<dyn Listener>>,
        cancel: CancellationToken,
    ) -> anyhow::Result<RunRecord> {
        let id = RunId::new(self.clock.now());
        let request = Request {
            id,
            drill,
            engine: self.engine(drill, id),
            faults,
            listeners,
            cancel,
        };
        let root = drill.sandbox.directory.as_deref();
        if let Some(root) = root {
            let remembered = self.history.remember_root(root, self.clock.now()).await;
            remembered.with_context(|| self.in_history())?;
        }
        let runner = self.runner(root);
        runner.run(request).await.map_err(|error| match error {
            StoreError::Busy { .. } | StoreError::ClaimLost { .. } => error.into(),
            error => anyhow::Error::new(error).context(self.in_history()),
        })
    }

    fn in_history(&self) -> String {
        format!("in the history {}", self.state.history().display())
    }

    /// Finishes what dead processes left, and removes what nobody owns.
    ///
    /// # Errors
    /// If the history cannot be read or written.
    pub async fn sweep(&self, listeners: &[Arc<dyn Listener>]) -> anyhow::Result<Swept> {
        let here = &self.identity;
        let is_gone = |owner: &Owner| identity(owner).is_gone(here);
        let places = self.places().await?;
        sweeper::sweep(&self.runner(None), &places, is_gone, listeners)
            .await
            .with_context(|| self.in_history())
    }

    /// The engine of a drill, for one run.
    #[must_use]
    pub fn engine(&self, drill: &Drill, run: RunId) -> Arc<dyn Engine> {
        engine(drill, self.launcher(run, drill.sandbox.allow_unfenced))
    }

    /// Starts processes for a run.
    #[must_use]
    pub fn launcher(&self, run: RunId, allow_unfenced: bool) -> Launcher {
        Launcher {
            run,
            helper: std::env::current_exe().ok(),
            account: self.account,
            allow_unfenced,
        }
    }

    /// The scratch place under `root`, or under the state directory.
    #[must_use]
    pub fn sandbox(&self, root: Option<&Path>) -> Arc<dyn Sandbox> {
        let root = root.map_or_else(|| self.state.scratch(), Path::to_owned);
        Arc::new(LocalSandbox::new(root, self.account))
    }

    /// Every scratch place that was ever used.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub async fn places(&self) -> anyhow::Result<Vec<Arc<dyn Sandbox>>> {
        let roots = self.history.roots().await;
        let roots = roots.with_context(|| self.in_history())?;
        let own = self.state.scratch();
        let others = roots.iter().filter(|root| **root != own);
        let others = others.map(|root| self.sandbox(Some(root)));
        Ok([self.sandbox(None)].into_iter().chain(others).collect())
    }

    fn runner(&self, scratch: Option<&Path>) -> Runner {
        Runner {
            store: self.history.clone(),
            sandbox: self.sandbox(scratch),
            clock: self.clock.clone(),
            hook: self.hook.clone(),
            owner: owner(&self.identity),
        }
    }
}

/// The engine of a drill, which starts its processes by `launcher`.
#[must_use]
pub fn engine(drill: &Drill, launcher: Launcher) -> Arc<dyn Engine> {
    let (fresh, globals) = match &drill.recovery_point {
        RecoveryPointSource::Fresh(fresh) => (Some(fresh.clone()), None),
        RecoveryPointSource::Existing(backup) => (None, backup.globals.clone()),
    };
    match &drill.workload {
        Workload::Postgresql(workload) => Arc::new(PostgresEngine {
            workload: workload.clone(),
            fresh,
            globals,
            canary: drill.canary.clone(),
            checks: drill.checks.clone(),
            sandbox: drill.sandbox.clone(),
            profile: drill.profile,
            launcher,
        }),
        Workload::Sqlite(workload) => Arc::new(SqliteEngine {
            workload: workload.clone(),
            canary: drill.canary.clone(),
            checks: drill.checks.clone(),
            profile: drill.profile,
            verify_jobs: drill.sandbox.verify_jobs,
        }),
    }
}

fn owner(identity: &Identity) -> Owner {
    let Identity {
        host,
        boot,
        pid,
        start_ticks,
    } = identity.clone();
    Owner {
        host,
        boot,
        pid,
        start_ticks,
    }
}

fn identity(owner: &Owner) -> Identity {
    let Owner {
        host,
        boot,
        pid,
        start_ticks,
    } = owner.clone();
    Identity {
        host,
        boot,
        pid,
        start_ticks,
    }
}

/// In a build with assertions, for the tests of kills: with
/// `LIFEBOAT_TEST_KILL_AT=N` the process kills itself at the N-th instant that a
/// hook sees, and with `LIFEBOAT_TEST_STOP_AT=N` it stops there.
fn hook() -> Arc<dyn Hook> {
    #[cfg(debug_assertions)]
    {
        use nix::sys::signal::Signal;
        for (variable, signal) in [
            ("LIFEBOAT_TEST_KILL_AT", Signal::SIGKILL),
            ("LIFEBOAT_TEST_STOP_AT", Signal::SIGSTOP),
        ] {
            let at = std::env::var(variable).ok().and_then(|n| n.parse().ok());
            if let Some(at) = at {
                let seen = std::sync::atomic::AtomicU32::new(0);
                return Arc::new(SignalAt { signal, at, seen });
            }
        }
    }
    Arc::new(NoHook)
}

#[cfg(debug_assertions)]
struct SignalAt {
    signal: nix::sys::signal::Signal,
    at: u32,
    seen: std::sync::atomic::AtomicU32,
}

#[cfg(debug_assertions)]
impl Hook for SignalAt {
    fn reached(&self, _point: &str) {
        if self.seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1 == self.at {
            let this = nix::unistd::Pid::this();
            // A signal to oneself can always be sent.
            let _ = nix::sys::signal::kill(this, self.signal);
        }
    }
}
