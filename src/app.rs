//! The only place where adapters meet the ports.

pub mod agent;
mod engines;
pub mod kubernetes;
mod places;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use self::places::Places;
use crate::{
    clock::{Clock, SystemClock},
    domain::{event::Listener, ids::RunId, record::RunRecord, resource::ClusterRef},
    engine::{Engine, Fault},
    history::{History, sqlite::SqliteHistory},
    k8s::Clusters,
    process::{Account, Launcher, account, owner::Identity},
    runner::{
        execute::{Request, Runner},
        hook::{Hook, NoHook},
        store::Owner,
    },
    sandbox::{
        Sandbox,
        kubernetes::{KubernetesSandbox, SANDBOX_ROLE},
        local::LocalSandbox,
    },
    spec::drill::{Drill, RecoveryPointSource},
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
            .with_context(|| format!("cannot make the state directory {}", self.0.display()))
    }
}

/// A process that can run drills.
pub struct App {
    pub state: StateDir,
    pub history: Arc<dyn History>,
    pub clock: Arc<dyn Clock>,
    pub identity: Identity,
    pub account: Option<Account>,
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
        let installation = state.installation()?;
        let history = SqliteHistory::open(&path)
            .await
            .with_context(|| format!("cannot use the history {}", path.display()))?;
        Ok(Self {
            state,
            history: Arc::new(history),
            clock: Arc::new(SystemClock::new()),
            identity: Identity::current()?,
            account: account::unprivileged(None)?,
            installation,
            clusters: Clusters::default(),
            sandbox_role: std::env::var(ROLE).unwrap_or_else(|_| SANDBOX_ROLE.to_owned()),
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
            engine: self.engine(drill, id, faults),
            faults,
            listeners,
            cancel,
        };
        Ok(self.runner(self.place_of(drill)).run(request).await?)
    }

    /// Finishes what dead processes left, and removes what nobody owns.
    ///
    /// # Errors
    /// If history or scratch directories cannot be read.
    pub async fn sweep(&self, listeners: &[Arc<dyn Listener>]) -> anyhow::Result<Swept> {
        let here = &self.identity;
        let is_gone = |owner: &Owner| identity(owner).is_gone(here);
        Ok(sweeper::sweep(&self.runner(self.places()), is_gone, listeners).await?)
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
        let root = root.map_or_else(|| self.state.scratch(), Path::to_owned);
        Arc::new(LocalSandbox::new(root, self.account))
    }

    /// Where the runs of a drill are made.
    fn place_of(&self, drill: &Drill) -> Arc<dyn Sandbox> {
        let Some(workload) = drill.workload.kubernetes() else {
            return self.sandbox(drill.sandbox.directory.as_deref());
        };
        let given = drill.kubernetes.clone().unwrap_or_default();
        let place = ClusterRef {
            kubeconfig: given.kubeconfig,
            context: given.context,
        };
        let (installation, clock) = (self.installation.clone(), self.clock.clone());
        let mut sandbox = KubernetesSandbox::new(place, installation, clock, self.clusters.clone());
        sandbox.drill = drill.name.to_string();
        sandbox.role.clone_from(&self.sandbox_role);
        if let RecoveryPointSource::Snapshot(_) = drill.recovery_point {
            sandbox.snapshots_in = Some(workload.namespace.clone());
        }
        Arc::new(sandbox)
    }

    /// Everywhere that something may have been left.
    fn places(&self) -> Arc<dyn Sandbox> {
        let local = LocalSandbox::new(self.state.scratch(), self.account);
        let (clock, installation) = (self.clock.clone(), self.installation.clone());
        Arc::new(Places::new(
            local,
            clock,
            installation,
            self.clusters.clone(),
            self.sandbox_role.clone(),
        ))
    }

    fn runner(&self, sandbox: Arc<dyn Sandbox>) -> Runner {
        Runner {
            store: self.history.clone(),
            sandbox,
            clock: self.clock.clone(),
            hook: self.hook.clone(),
            owner: owner(&self.identity),
        }
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

/// In a build with assertions, `LIFEBOAT_TEST_KILL_AT=N` makes the process
/// kill itself at the N-th instant that a hook sees: for the kill tests.
fn hook() -> Arc<dyn Hook> {
    #[cfg(debug_assertions)]
    if let Some(at) = std::env::var("LIFEBOAT_TEST_KILL_AT")
        .ok()
        .and_then(|n| n.parse().ok())
    {
        return Arc::new(KillAt {
            at,
            seen: std::sync::atomic::AtomicU32::new(0),
        });
    }
    Arc::new(NoHook)
}

#[cfg(debug_assertions)]
struct KillAt {
    at: u32,
    seen: std::sync::atomic::AtomicU32,
}

#[cfg(debug_assertions)]
impl Hook for KillAt {
    fn reached(&self, _point: &str) {
        if self.seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1 == self.at {
            let this = nix::unistd::Pid::this();
            // Nothing runs after SIGKILL, so there is no error to handle.
            let _ = nix::sys::signal::kill(this, nix::sys::signal::Signal::SIGKILL);
        }
    }
}
