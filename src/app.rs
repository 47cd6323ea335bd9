//! The only place where adapters meet the ports.

pub mod agent;
mod alive;
mod engines;
mod judgement;
pub mod kubernetes;
mod logged;
mod objects;
mod places;
pub mod reports;
pub mod serve;
mod shared;
mod state;
mod taking_up;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context as _;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use self::{
    alive::{Beats, Live},
    logged::Logged,
    objects::{Buckets, WithBucket},
    places::{Namespaces, Places},
};
pub use self::{logged::RUN, shared::Shared, state::StateDir};
use crate::{
    clock::{Clock, SystemClock},
    domain::{
        budget::Demand,
        event::Listener,
        ids::RunId,
        record::RunRecord,
        resource::{ClusterRef, FromCluster, Resource},
    },
    engine::{Engine, Fault},
    history::{History, sql::SqlHistory},
    k8s::Clusters,
    metrics::Meters,
    process::{Account, Launcher, account, owner::Identity},
    runner::{
        cancel::Cancel,
        execute::{Request, Runner},
        hook::{Hook, NoHook},
        store::{StoreError, Unfinished},
    },
    sandbox::{Sandbox, kubernetes::SANDBOX_ROLE, local::LocalSandbox},
    service::{self, Service},
    spec::drill::{Drill, FreshDump, RecoveryPointSource},
    sweeper::{self, Swept},
    traces::Traces,
};

const DAY: Duration = Duration::from_hours(24);

/// The environment variable that names the ClusterRole with the rights in a
/// sandbox, where several installations each have their own.
const ROLE: &str = "LIFEBOAT_SANDBOX_ROLE";

/// A run as it is wanted.
pub struct Wanted<'a> {
    pub id: RunId,
    /// The fire time that it is for.
    pub scheduled_for: Option<jiff::Timestamp>,
    /// What who asks for it calls the request.
    pub request_key: Option<String>,
    pub demand: Demand,
    /// What to spoil in the copy.
    pub faults: &'a [Fault],
    pub listeners: Vec<Arc<dyn Listener>>,
    /// Ends the run early; everything is given back all the same.
    pub cancel: Cancel,
    /// Leaves the run to the service that comes next, if its copy goes on.
    pub park: CancellationToken,
}

/// A process that can run drills.
pub struct App {
    pub state: StateDir,
    pub history: Arc<dyn History>,
    pub clock: Arc<dyn Clock>,
    pub identity: Identity,
    pub account: Option<Account>,
    /// Where runs are told as traces.
    pub traces: Traces,
    /// Whether it is a service.
    serving: bool,
    /// What the history is called in messages.
    kept_in: String,
    /// How long it counts as alive without a word, where others share the
    /// history; `None` where nobody on another machine can.
    claim: Option<Duration>,
    /// The runs that it works on.
    live: Arc<Live>,
    /// Told when there is something to sweep.
    to_sweep: Arc<Notify>,
    beats: Arc<Beats>,
    /// What takes up runs whose processes are gone, once it is there.
    service: OnceLock<Service>,
    /// One sweep at a time.
    sweeping: tokio::sync::Mutex<()>,
    /// The processes that can be seen from here, as the kernel calls them.
    processes: String,
    /// Tells what this installation made in a cluster from what others did.
    installation: String,
    /// Connections to clusters.
    clusters: Clusters,
    meters: Arc<Meters>,
    /// The ClusterRole with the rights in a sandbox.
    sandbox_role: String,
    hook: Arc<dyn Hook>,
}

impl App {
    /// Opens everything, with the history in the state directory or `shared`.
    ///
    /// # Errors
    /// If the state directory or the history cannot be used.
    pub async fn open(state: StateDir, shared: Option<Shared>) -> anyhow::Result<Self> {
        if let Some(shared) = &shared {
            shared.check()?;
        }
        state.create()?;
        let kept_in = match &shared {
            Some(shared) => shared.shown(),
            None => state.history().display().to_string(),
        };
        let in_use = || format!("cannot use the history {kept_in}");
        let history = match &shared {
            Some(shared) => SqlHistory::at(&shared.url).await,
            None => SqlHistory::in_file(&state.history()).await,
        };
        let clusters = Clusters::default();
        let meters = Meters::new(clusters.sent())?;
        let history = history.with_context(in_use)?.timed(meters.answers());
        let history: Arc<dyn History> = Arc::new(history);
        let named = history.installation(&state.installation()?).await;
        let installation = named.with_context(in_use)?;
        Ok(Self {
            state,
            history,
            clock: Arc::new(SystemClock::new()),
            identity: Identity::current()?,
            account: account::unprivileged(None)?,
            traces: Traces::of_environment(),
            serving: false,
            kept_in,
            claim: shared.map(|shared| shared.claim),
            live: Arc::default(),
            to_sweep: Arc::default(),
            beats: Arc::default(),
            service: OnceLock::new(),
            sweeping: tokio::sync::Mutex::default(),
            processes: judgement::namespace(),
            installation,
            clusters,
            meters: Arc::new(meters),
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
        mut listeners: Vec<Arc<dyn Listener>>,
        cancel: CancellationToken,
    ) -> anyhow::Result<RunRecord> {
        let id = RunId::new(self.clock.now());
        let log = Logged::new(id, &drill.name);
        listeners.push(log.clone());
        let wanted = Wanted {
            id,
            scheduled_for: None,
            request_key: None,
            demand: Demand::unlimited(service::shares(drill)),
            faults,
            listeners,
            cancel: cancel.into(),
            park: CancellationToken::new(),
        };
        self.carry_out(drill, wanted)
            .instrument(log.span())
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
        // Known before anybody can ask whose the run is.
        let _alive = self.stays_alive().await?;
        let _live = self.live.add(wanted.id, wanted.cancel.clone());
        let request = Request {
            id: wanted.id,
            scheduled_for: wanted.scheduled_for,
            request_key: wanted.request_key,
            demand: wanted.demand,
            drill,
            engine: self.engine(drill, wanted.id, wanted.faults),
            faults: wanted.faults,
            listeners: wanted.listeners,
            cancel: wanted.cancel,
            park: wanted.park,
        };
        self.remember(drill).await?;
        let record = self.runner(self.place_of(drill)).run(request).await?;
        self.traces.export(&record);
        Ok(record)
    }

    /// Notes where the drill's places are, so that a sweep looks there.
    async fn remember(&self, drill: &Drill) -> Result<(), StoreError> {
        let now = self.clock.now();
        if drill.workload.kubernetes().is_some() {
            return self.history.remember_cluster(&drill.cluster(), now).await;
        }
        match &drill.sandbox.directory {
            Some(root) => self.history.remember_root(root, now).await,
            None => Ok(()),
        }
    }

    /// Where the history is, as it may be shown.
    #[must_use]
    pub fn kept_in(&self) -> &str {
        &self.kept_in
    }

    fn in_history(&self) -> String {
        format!("in the history {}", self.kept_in)
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
        // Two at once would take what they have taken over from each other.
        let _turn = self.sweeping.lock().await;
        // Whoever takes a run over says that it lives while it ends it.
        let alive = self.stays_alive().await;
        let _alive = alive.with_context(|| self.in_history())?;
        let others = self.others_alive().await;
        let others = others.with_context(|| self.in_history())?;
        let refused = self.take_up_orphans(others.as_deref()).await;
        let refused = refused.with_context(|| self.in_history())?;
        let is_gone = |run: &Unfinished| self.is_to_be_ended(run, others.as_deref(), &refused);
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
        let runner = self.runner(self.anywhere());
        let swept = sweeper::sweep(&runner, &places, is_gone, listeners).await;
        let swept = swept.with_context(|| self.in_history())?;
        // One that could not be ended is taken up at every sweep.
        let ended = |run: &&RunRecord| run.finished_at.is_some();
        let ended = swept.runs.iter().filter(ended);
        ended.for_each(|run| self.traces.export(run));
        Ok(swept)
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
        // What lies in one that has several names must not be found twice.
        let mut known = HashSet::new();
        let all = [self.state.scratch()].into_iter().chain(roots);
        let all = all.filter(|root| {
            let place = root.canonicalize();
            known.insert(place.unwrap_or_else(|_| root.clone()))
        });
        Ok(all.map(|root| self.sandbox(Some(&root))).collect())
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
                    cluster: drill.cluster(),
                    namespace: workload.namespace.clone(),
                }),
            },
        })
    }

    fn sandbox_of(&self, drill: &Drill) -> Arc<dyn Sandbox> {
        let Some(workload) = drill.workload.kubernetes() else {
            return self.sandbox(drill.sandbox.directory.as_deref());
        };
        let mut sandbox = self.namespaces().at(drill.cluster());
        sandbox.drill = drill.name.to_string();
        // Giving all back has its time, too.
        sandbox.lifetime = sandbox.lifetime.max(drill.longest() + DAY);
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

    fn runner(&self, sandbox: Arc<dyn Sandbox>) -> Runner {
        Runner {
            store: self.history.clone(),
            sandbox,
            clock: self.clock.clone(),
            hook: self.hook.clone(),
            owner: self.owner(),
            shared: self.claim.is_some(),
        }
    }
}

pub use self::engines::{local as engine, postgresql};

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
