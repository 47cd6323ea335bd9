//! Whole drills by the product's own runner and engine, where many of them
//! share what costs most: one dump, one scratch server, one loaded database.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use lifeboat::{
    app,
    clock::{Clock, SystemClock},
    domain::{
        budget::Demand,
        check::{Finding, Outcome, Severity},
        failure::Failure,
        ids::RunId,
        record::{RunRecord, SourceFacts},
        recovery_point::{Artifact, RecoveryPoint},
    },
    engine::{
        Context, Copy, Engine, Fault, Instance, Restored, Source, Verification, VerifyRequest,
        postgresql::{PostgresEngine, endpoint::ScratchCluster},
    },
    history::memory::MemoryHistory,
    process::{Launcher, account, label, owner::Identity},
    runner::{
        cancel::Cancel,
        execute::{Request, Runner},
        hook::NoHook,
        store::Owner,
    },
    sandbox::{
        Room,
        local::{LocalSandbox, free_bytes},
    },
    spec::{
        self,
        drill::{Drill, Workload},
    },
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::postgres::Server;

/// How the copy of a rehearsed drill comes to be.
#[derive(Debug, Clone)]
pub enum Copying {
    /// By a scratch server of its own.
    Alone,
    /// Restored into a database of its own on a server that others use too.
    Shared(ScratchCluster),
    /// It is there already, loaded with this result.
    Loaded(ScratchCluster, Box<Restored>),
}

/// A drill that is about to be run.
pub struct Rehearsal {
    pub drill: Drill,
    /// What `capture` gives; made by the engine where there is none.
    pub point: Option<RecoveryPoint>,
    pub copying: Copying,
}

/// What happens to a copy after it has served.
pub type Harm = Box<dyn Fn(&Instance) + Send + Sync>;

/// The engine as it is, but for what the rehearsal brings along.
struct Rehearsed {
    engine: Arc<dyn Engine>,
    point: Option<RecoveryPoint>,
    copying: Copying,
    harm: Option<Harm>,
}

/// The engine as it is, but that its copy comes to harm after it has served.
pub fn harmed(engine: impl Engine + 'static, harm: Option<Harm>) -> Arc<dyn Engine> {
    Arc::new(Rehearsed {
        engine: Arc::new(engine),
        point: None,
        copying: Copying::Alone,
        harm,
    })
}

impl Rehearsal {
    /// Runs it by the product's own runner.
    pub async fn run(self) -> RunRecord {
        let place = place();
        let id = new_run();
        let mut engine = engine(&self.drill, id);
        if !matches!(self.copying, Copying::Alone) {
            unfence(&mut engine);
        }
        let rehearsed = Rehearsed {
            engine: Arc::new(engine),
            point: self.point,
            copying: self.copying,
            harm: None,
        };
        run(id, &self.drill, Arc::new(rehearsed), place.path()).await
    }
}

/// Runs a drill by the product's own runner, with scratch places in `root`.
pub async fn run(id: RunId, drill: &Drill, engine: Arc<dyn Engine>, root: &Path) -> RunRecord {
    let account = account::unprivileged(None).unwrap();
    let runner = Runner {
        store: Arc::new(MemoryHistory::default()),
        sandbox: Arc::new(LocalSandbox::new(root.to_owned(), account)),
        clock: Arc::new(SystemClock::new()),
        hook: Arc::new(NoHook),
        shared: false,
        owner: owner(),
    };
    let request = Request {
        id,
        scheduled_for: None,
        request_key: None,
        demand: Demand::unlimited(Vec::new()),
        drill,
        engine,
        faults: &[],
        listeners: Vec::new(),
        cancel: Cancel::default(),
        park: CancellationToken::new(),
    };
    runner.run(request).await.unwrap()
}

/// All that counts against a copy, a line each.
pub fn errors(record: &RunRecord) -> Vec<String> {
    let failing = record.checks.iter().filter(|c| c.outcome == Outcome::Fail);
    let findings = failing.flat_map(|check| check.findings.iter().map(move |f| (check, f)));
    let mut all: Vec<String> = findings
        .filter(|(_, finding)| finding.severity == Severity::Error)
        .map(|(check, f)| format!("{}: {} {}", check.name, f.subject, f.message))
        .collect();
    all.extend(
        record
            .failure
            .iter()
            .map(|f| format!("{}: {}", f.step, f.failure.message)),
    );
    all
}

/// Shown with `--nocapture`: a soak is long, and its figures are worth reading.
#[expect(clippy::print_stderr, reason = "the figures of a soak")]
pub fn tell(text: &str) {
    eprintln!("{text}");
}

/// The first seed of random drills, unless `LIFEBOAT_SEED` names another one.
pub fn seed() -> u64 {
    number("LIFEBOAT_SEED").unwrap_or(1_000_000)
}

/// How many random drills, unless `LIFEBOAT_COUNT` says otherwise.
pub fn count(usual: u64) -> u64 {
    number("LIFEBOAT_COUNT").unwrap_or(usual)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

pub fn new_run() -> RunId {
    RunId::new(SystemClock::new().now())
}

/// Where many databases are made: in memory, if there is enough of it.
const MEMORY: &str = "/dev/shm";
const ENOUGH: u64 = 4 << 30;

/// A folder that the unprivileged account may pass through.
pub fn place() -> TempDir {
    let roomy = free_bytes(Path::new(MEMORY)).is_ok_and(|free| free >= ENOUGH);
    let root = if roomy {
        PathBuf::from(MEMORY)
    } else {
        std::env::temp_dir()
    };
    let mut builder = tempfile::Builder::new();
    let place = builder.prefix("lb").tempdir_in(root).unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path(), open).unwrap();
    place
}

pub fn owner() -> Owner {
    let Identity {
        host,
        boot,
        pid,
        start_ticks,
    } = Identity::current().unwrap();
    Owner {
        host,
        boot,
        pid,
        start_ticks,
        service: false,
    }
}

/// The drill's engine, as the application makes it.
pub fn engine(drill: &Drill, run: RunId) -> PostgresEngine {
    let Workload::Postgresql(workload) = &drill.workload else {
        panic!("no drill of PostgreSQL");
    };
    let launcher = Launcher {
        run,
        helper: Some(PathBuf::from(env!("CARGO_BIN_EXE_lifeboat"))),
        account: account::unprivileged(None).unwrap(),
        allow_unfenced: false,
    };
    let engine = app::postgresql(drill, workload, launcher, None);
    let of_dump = engine.fresh.is_some() || engine.existing.is_some();
    assert!(of_dump, "no drill of a dump");
    engine
}

/// Behind the fence a client sees the sockets of its own run alone, and not
/// those of a server that several share.
pub fn unfence(engine: &mut PostgresEngine) {
    engine.launcher.helper = None;
    engine.launcher.allow_unfenced = true;
}

/// A drill of a database, with every check that needs no words of the user.
pub fn fresh_drill(server: &Server, database: &str) -> Drill {
    let workload = format!(
        "connection: {{ host: {}, database: {database}, user: postgres, tls: {{ mode: disable }} }}",
        server.directory.display()
    );
    drill(&workload, "{ fresh: { jobs: 1, compression: none } }", "")
}

/// A drill of a backup that somebody else made.
pub fn existing_drill(backup: &Path, globals: Option<&Path>) -> Drill {
    let globals = globals.map_or_else(String::new, |path| format!(", globals: {}", path.display()));
    let point = format!("{{ existing: {{ path: {}{globals} }} }}", backup.display());
    drill("tools: []", &point, "")
}

/// A drill with the given parts; `more` are further lines of its `spec`.
pub fn drill(workload: &str, recovery_point: &str, more: &str) -> Drill {
    let text = format!(
        "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\nmetadata: {{ name: rehearsal }}\nspec:\n  \
         workload: {{ postgresql: {{ {workload} }} }}\n  recoveryPoint: {recovery_point}\n  \
         sandbox: {{ local: {{ restoreJobs: 2, verifyJobs: 1, settings: {{ fsync: 'off', \
         full_page_writes: 'off', wal_level: minimal, autovacuum: 'off' }} }} }}\n{more}"
    );
    let mut drill = spec::parse(&text, Path::new("/rehearsal.yaml")).unwrap();
    if !more.contains("checks") {
        drill.checks.integrity = lifeboat::spec::drill::Integrity::Full;
    }
    drill
}

/// A scratch server that many rehearsals share; it ends with this value.
pub struct ScratchServer {
    run: RunId,
    place: TempDir,
    pub cluster: ScratchCluster,
}

impl ScratchServer {
    /// Started by the engine, as for a restore of `point`.
    pub async fn start(drill: &Drill, point: &RecoveryPoint) -> Self {
        let (place, run) = (place(), new_run());
        let directory = place.path().join("server");
        make_scratch(&directory);
        let engine = engine(drill, run);
        let instance = engine
            .start(&context(run), point, None, &Room::Directory(directory))
            .await
            .unwrap();
        Self {
            run,
            place,
            cluster: ScratchCluster::of(&instance).unwrap(),
        }
    }

    /// A database of that name on it, which need not be there yet.
    pub fn database(&self, name: &str) -> ScratchCluster {
        ScratchCluster {
            database: name.to_owned(),
            ..self.cluster.clone()
        }
    }
}

impl Drop for ScratchServer {
    fn drop(&mut self) {
        let (run, place) = (self.run, self.place.path().to_owned());
        // A runtime cannot be started within another one's thread.
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(label::end_all(run, &place, Duration::from_secs(5)))
        });
        let _ = ended.join();
    }
}

/// A context of that run, whose events nobody hears.
pub fn context(run: RunId) -> Context {
    let (mut cx, _) = super::context();
    cx.run = run;
    cx
}

/// A directory as the sandbox makes it.
fn make_scratch(path: &Path) {
    std::fs::create_dir(path).unwrap();
    if let Some(account) = account::unprivileged(None).unwrap() {
        std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid)).unwrap();
    }
}

fn instance(cluster: &ScratchCluster, dir: &Path) -> Instance {
    Instance {
        dir: dir.to_owned(),
        endpoint: serde_json::to_value(cluster).unwrap(),
    }
}

#[async_trait]
impl Source for Rehearsed {
    async fn preflight(&self, cx: &Context, scratch: &Path) -> Vec<Finding> {
        self.engine.preflight(cx, scratch).await
    }

    async fn inspect(&self, cx: &Context) -> Result<Option<SourceFacts>, Failure> {
        self.engine.inspect(cx).await
    }

    async fn capture(&self, cx: &Context, into: &Room) -> Result<RecoveryPoint, Failure> {
        match &self.point {
            Some(point) => Ok(point.clone()),
            None => self.engine.capture(cx, into).await,
        }
    }

    async fn identify(&self, cx: &Context, path: &Path) -> Result<RecoveryPoint, Failure> {
        self.engine.identify(cx, path).await
    }
}

#[async_trait]
impl Copy for Rehearsed {
    async fn start(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        source: Option<&SourceFacts>,
        dir: &Room,
    ) -> Result<Instance, Failure> {
        match &self.copying {
            Copying::Alone => self.engine.start(cx, point, source, dir).await,
            Copying::Shared(cluster) | Copying::Loaded(cluster, _) => {
                let dir = dir.directory()?;
                make_scratch(&dir.join("pg"));
                Ok(instance(cluster, dir))
            }
        }
    }

    async fn restore(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        instance: &Instance,
    ) -> Result<Restored, Failure> {
        match &self.copying {
            Copying::Loaded(_, restored) => Ok((**restored).clone()),
            _ => self.engine.restore(cx, point, instance).await,
        }
    }

    async fn serve(&self, cx: &Context, instance: &Instance) -> Result<(), Failure> {
        self.engine.serve(cx, instance).await?;
        if let Some(harm) = &self.harm {
            harm(instance);
        }
        Ok(())
    }

    async fn verify(
        &self,
        cx: &Context,
        request: VerifyRequest<'_>,
        instance: &Instance,
    ) -> Result<Verification, Failure> {
        self.engine.verify(cx, request, instance).await
    }

    async fn spoil(
        &self,
        cx: &Context,
        faults: &[Fault],
        instance: &Instance,
    ) -> Result<Vec<String>, Failure> {
        self.engine.spoil(cx, faults, instance).await
    }
}

/// Gives everything in a folder to whoever asks.
pub fn open_to_all(path: &Path) {
    let status = std::process::Command::new("chmod")
        .args(["-R", "a+rX"])
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success());
}

/// The recovery point with its dump at another place.
pub fn with_dump(point: &RecoveryPoint, path: &Path, format: &str) -> RecoveryPoint {
    RecoveryPoint {
        artifact: Artifact::LogicalDump {
            path: path.to_owned(),
            format: format.to_owned(),
        },
        ..point.clone()
    }
}
