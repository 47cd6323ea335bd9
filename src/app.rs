//! The only place where adapters meet the ports.

pub mod agent;
mod engines;
pub mod kubernetes;
mod objects;
mod places;
pub mod reports;
pub mod serve;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use self::{
    objects::{Buckets, WithBucket},
    places::{Namespaces, Places},
};
use crate::{
    clock::{Clock, SystemClock},
    domain::{
        event::Listener,
        failure::{Failure, FailureKind},
        ids::RunId,
        record::RunRecord,
        resource::{ClusterRef, FromCluster, Resource},
    },
    engine::{Engine, Fault},
    history::{History, sqlite::SqliteHistory},
    k8s::Clusters,
    process::{Account, Launcher, account, owner::Identity},
    runner::{
        execute::{Request, Runner},
        hook::{Hook, NoHook},
        store::{Owner, StoreError},
    },
    sandbox::{Sandbox, kubernetes::SANDBOX_ROLE, local::LocalSandbox},
    spec::drill::{Drill, FreshDump, RecoveryPointSource},
    sweeper::{self, Swept},
};

/// The environment variable that names the ClusterRole with the rights in a
/// sandbox, where several installations each have their own.
const ROLE: &str = "LIFEBOAT_SANDBOX_ROLE";

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

    /// A name for this installation that no other has; made at the first time.
    fn installation(&self) -> anyhow::Result<String> {
        let path = self.0.join("installation");
        let doing = || format!("cannot keep {}", path.display());
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok(text.trim().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(doing),
        }
        // Two may do this at once: the first one's name stays.
        let name = RunId::new(SystemClock::new().now()).to_string();
        let mine = self.0.join(format!("installation.{name}"));
        std::fs::write(&mine, &name).with_context(doing)?;
        let linked = std::fs::hard_link(&mine, &path);
        std::fs::remove_file(&mine).with_context(doing)?;
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(doing);
            }
            _ => {}
        }
        Ok(std::fs::read_to_string(&path)
            .with_context(doing)?
            .trim()
            .to_owned())
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

/// A run as it is wanted.
pub struct Wanted<'a> {
    pub id: RunId,
    /// The fire time that it is for.
    pub scheduled_for: Option<jiff::Timestamp>,
    /// What to spoil in the copy.
    pub faults: &'a [Fault],
    pub listeners: Vec<Arc<dyn Listener>>,
    /// Ends the run early; everything is given back all the same.
    pub cancel: CancellationToken,
}

/// A process that can run drills.
pub struct App {
    pub state: StateDir,
    pub history: Arc<dyn History>,
    pub clock: Arc<dyn Clock>,
    pub identity: Identity,
    pub account: Option<Account>,
    /// Whether it is the only service on its history.
    serving: bool,
    /// Tells what this installation made in a cluster from what others did.
    installation: String,
    /// Connections to clusters.
    clusters: Clusters,
    /// The ClusterRole with the rights in a sandbox.
    sandbox_role: String,
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
        let installation = state.installation()?;
        Ok(Self {
            state,
            history: Arc::new(history),
            clock: Arc::new(SystemClock::new()),
            identity: Identity::current()?,
            account: account::unprivileged(None)?,
            serving: false,
            installation,
            clusters: Clusters::default(),
            sandbox_role: std::env::var(ROLE).unwrap_or_else(|_| SANDBOX_ROLE.to_owned()),
            hook: hook(),
        })
    }

    /// Runs a drill that somebody asks for.
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
        let wanted = Wanted {
            id: RunId::new(self.clock.now()),
            scheduled_for: None,
            faults,
            listeners,
            cancel,
        };
        self.carry_out(drill, wanted)
            .await
            .map_err(|error| match error {
                StoreError::Busy { .. } | StoreError::ClaimLost { .. } => error.into(),
                error => anyhow::Error::new(error).context(self.in_history()),
            })
    }

    /// Makes a run.
    ///
    /// # Errors
    /// As the history says.
    pub async fn carry_out(
        &self,
        drill: &Drill,
        wanted: Wanted<'_>,
    ) -> Result<RunRecord, StoreError> {
        let request = Request {
            id: wanted.id,
            scheduled_for: wanted.scheduled_for,
            drill,
            engine: self.engine(drill, wanted.id, wanted.faults),
            faults: wanted.faults,
            listeners: wanted.listeners,
            cancel: wanted.cancel,
        };
        self.remember(drill).await?;
        self.runner(self.place_of(drill)).run(request).await
    }

    /// Notes where the drill's places are, so that a sweep looks there.
    async fn remember(&self, drill: &Drill) -> Result<(), StoreError> {
        let now = self.clock.now();
        if drill.workload.kubernetes().is_some() {
            return self.history.remember_cluster(&cluster_of(drill), now).await;
        }
        match &drill.sandbox.directory {
            Some(root) => self.history.remember_root(root, now).await,
            None => Ok(()),
        }
    }

    fn in_history(&self) -> String {
        format!("in the history {}", self.state.history().display())
    }

    /// Finishes what dead processes left, and removes what nobody owns: on this
    /// machine, and in these clusters, or in all that were ever used.
    ///
    /// # Errors
    /// If the history cannot be read or written.
    pub async fn sweep(
        &self,
        clusters: Option<&[ClusterRef]>,
        listeners: &[Arc<dyn Listener>],
    ) -> anyhow::Result<Swept> {
        let here = &self.identity;
        let me = self.owner();
        // A service that is not this one has ended, wherever it ran: this one
        // has its lock.
        let is_gone = |owner: &Owner| {
            identity(owner).is_gone(here) || (self.serving && owner.service && *owner != me)
        };
        let mut places = self.directories().await?;
        let clusters = match clusters {
            Some(clusters) => clusters.to_vec(),
            None => self
                .history
                .clusters()
                .await
                .with_context(|| self.in_history())?,
        };
        places.extend(
            clusters
                .into_iter()
                .map(|cluster| self.cluster_place(cluster)),
        );
        sweeper::sweep(&self.runner(self.anywhere()), &places, is_gone, listeners)
            .await
            .with_context(|| self.in_history())
    }

    /// The engine of a drill, for one run.
    #[must_use]
    pub fn engine(&self, drill: &Drill, run: RunId, faults: &[Fault]) -> Arc<dyn Engine> {
        if let Some(workload) = drill.workload.kubernetes() {
            let clusters = self.clusters.clone();
            let mut engine = engines::in_cluster(drill, workload, faults, clusters);
            engine.role.clone_from(&self.sandbox_role);
            return Arc::new(engine);
        }
        let launcher = self.launcher(run, drill.sandbox.allow_unfenced);
        engines::local(drill, launcher, None)
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
        Arc::new(LocalSandbox::new(self.scratch(root), self.account))
    }

    /// Where scratch places are made: `root`, or within the state directory.
    #[must_use]
    pub fn scratch(&self, root: Option<&Path>) -> PathBuf {
        root.map_or_else(|| self.state.scratch(), Path::to_owned)
    }

    /// Every scratch directory's place that was ever used.
    ///
    /// # Errors
    /// If the history cannot be read.
    pub async fn directories(&self) -> anyhow::Result<Vec<Arc<dyn Sandbox>>> {
        let roots = self.history.roots().await;
        let roots = roots.with_context(|| self.in_history())?;
        let own = self.state.scratch();
        let others = roots.iter().filter(|root| **root != own);
        let others = others.map(|root| self.sandbox(Some(root)));
        Ok([self.sandbox(None)].into_iter().chain(others).collect())
    }

    /// Where the runs of a drill are made.
    fn place_of(&self, drill: &Drill) -> Arc<dyn Sandbox> {
        let inner = self.sandbox_of(drill);
        let RecoveryPointSource::Fresh(FreshDump { to: Some(to), .. }) = &drill.recovery_point
        else {
            return inner;
        };
        Arc::new(WithBucket {
            inner,
            buckets: Arc::new(Buckets {
                clusters: self.clusters.clone(),
            }),
            objects: Resource::Objects {
                place: Box::new(to.place.clone()),
                prefix: to.prefix.clone(),
                from: drill.workload.kubernetes().map(|workload| FromCluster {
                    cluster: cluster_of(drill),
                    namespace: workload.namespace.clone(),
                }),
            },
        })
    }

    fn sandbox_of(&self, drill: &Drill) -> Arc<dyn Sandbox> {
        let Some(workload) = drill.workload.kubernetes() else {
            return self.sandbox(drill.sandbox.directory.as_deref());
        };
        let mut sandbox = self.namespaces().at(cluster_of(drill));
        sandbox.drill = drill.name.to_string();
        if let RecoveryPointSource::Snapshot(_) = drill.recovery_point {
            sandbox.snapshots_in = Some(workload.namespace.clone());
        }
        Arc::new(sandbox)
    }

    fn cluster_place(&self, cluster: ClusterRef) -> Arc<dyn Sandbox> {
        Arc::new(self.namespaces().at(cluster))
    }

    fn namespaces(&self) -> Namespaces {
        Namespaces {
            installation: self.installation.clone(),
            clock: self.clock.clone(),
            connections: self.clusters.clone(),
            role: self.sandbox_role.clone(),
        }
    }

    /// Wherever the ledger of a run says that something is.
    fn anywhere(&self) -> Arc<dyn Sandbox> {
        let local = LocalSandbox::new(self.state.scratch(), self.account);
        Arc::new(Places::new(local, self.namespaces()))
    }

    fn owner(&self) -> Owner {
        let Identity {
            host,
            boot,
            pid,
            start_ticks,
        } = self.identity.clone();
        Owner {
            host,
            boot,
            pid,
            start_ticks,
            service: self.serving,
        }
    }

    fn runner(&self, sandbox: Arc<dyn Sandbox>) -> Runner {
        Runner {
            store: self.history.clone(),
            sandbox,
            clock: self.clock.clone(),
            hook: self.hook.clone(),
            owner: self.owner(),
        }
    }
}

pub use self::engines::{local as engine, postgresql};

/// The cluster that a drill's sandbox is in.
#[must_use]
pub fn cluster_of(drill: &Drill) -> ClusterRef {
    let given = drill.kubernetes.clone().unwrap_or_default();
    ClusterRef {
        kubeconfig: given.kubeconfig,
        context: given.context,
    }
}

fn identity(owner: &Owner) -> Identity {
    let Owner {
        host,
        boot,
        pid,
        start_ticks,
        service: _,
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
