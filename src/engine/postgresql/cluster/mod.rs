//! The scratch cluster: a private server in the sandbox's directory.

mod initdb;
mod lost;
mod probe;
mod ready;
pub(super) mod settings;

use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::DirBuilderExt},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    PostgresEngine,
    endpoint::ScratchCluster,
    error::file_failure,
    session::Session,
    tools::{ToolSet, Tools, major_of},
};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::{Fence, SourceFacts},
        recovery_point::RecoveryPoint,
        timeline::Milestone,
    },
    engine::{Context, Instance},
    process::{Account, Confinement, Launch, label},
};

/// The bootstrap superuser: a name that no dump brings along.
const SUPERUSER: &str = "lifeboat_scratch";

/// The name of the socket's file only; no TCP port is opened.
pub(super) const PORT: u16 = 5432;

/// What `sockaddr_un` holds on Linux, less the final zero; see unix(7).
const SOCKET_PATH_BYTES: usize = 107;

/// How long a server that an earlier attempt left may take to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The database of every cluster that nothing is restored into.
pub(super) const MAINTENANCE_DATABASE: &str = "template1";

/// Where the parts of the cluster lie.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Holds all the others.
    pub root: PathBuf,
    pub data: PathBuf,
    pub sockets: PathBuf,
    /// The server's log.
    pub log: PathBuf,
    /// The fence in force, as JSON.
    pub fence: PathBuf,
    /// A dump that was fetched from a bucket.
    pub fetched: PathBuf,
}

impl Layout {
    pub(super) fn of(dir: &Path) -> Self {
        let root = dir.join("pg");
        Self {
            data: root.join("data"),
            sockets: root.join("sock"),
            log: root.join("log"),
            fence: root.join("fence.json"),
            fetched: root.join("fetched"),
            root,
        }
    }

    /// Makes the directory for everything else.
    pub(super) fn make_root(&self) -> Result<(), Failure> {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root);
        made.map_err(|error| file_failure(&error, "make", &self.root))
    }

    fn socket(&self) -> PathBuf {
        self.sockets.join(format!(".s.PGSQL.{PORT}"))
    }

    /// The fence that was put around the server; nothing where it says none.
    pub(super) fn fence(&self) -> Fence {
        let told = fs::read(&self.fence).ok();
        told.and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_else(|| Fence {
                notes: vec!["the server ran without a fence, or the fence was not told".to_owned()],
                ..Fence::default()
            })
    }

    /// The last lines of the server's log, without those that may show data.
    pub(super) fn log_tail(&self) -> Vec<String> {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let telling = |line: &&str| {
            !["DETAIL:", "CONTEXT:", "STATEMENT:", "\t"]
                .iter()
                .any(|part| line.contains(part))
        };
        let lines: Vec<_> = text.lines().filter(telling).collect();
        let from = lines.len().saturating_sub(20);
        lines[from..].iter().map(|&line| line.to_owned()).collect()
    }
}

pub(super) async fn start(
    engine: &PostgresEngine,
    cx: &Context,
    point: &RecoveryPoint,
    source: Option<&SourceFacts>,
    dir: &Path,
) -> Result<Instance, Failure> {
    let layout = Layout::of(dir);
    socket_fits(&layout)?;
    let major = major(engine, point, source)?;
    let tools = Tools::find(&engine.workload.tools).await;
    let set = tools.server(major)?;
    clear(cx, &layout).await?;
    make_directories(&layout, engine.launcher.account)?;
    // Side by side: showing that the fence holds costs no recovery time.
    let ((), probed) = tokio::try_join!(
        initdb::initdb(engine, cx, set, &layout),
        probe::probe(engine, cx, point, fenced(engine, dir, &layout, set)),
    )?;
    let plan = settings::plan(engine, source);
    for note in &plan.notes {
        cx.note(note);
    }
    initdb::configure(&layout, &plan, engine.launcher.account)?;
    cx.reached(Milestone::StorageBound);
    let cluster = ScratchCluster {
        socket_directory: layout.sockets.clone(),
        port: PORT,
        superuser: SUPERUSER.to_owned(),
        database: database(engine, point),
        data_directory: layout.data.clone(),
        bin_directory: set.bin_directory.clone(),
        version_num: 0,
    };
    let launch = server(fenced(engine, dir, &layout, set), &layout);
    let mut running = engine.launcher.start(launch)?;
    let session = ready::wait(cx, &mut running, &maintenance(&cluster), &layout)
        .await
        .map_err(|failure| lost::explain_start(failure, &layout))?;
    running.detach();
    cx.reached(Milestone::Accepting);
    let mut instance = describe(&session, cluster, source, dir).await?;
    instance.endpoint["fence"] =
        serde_json::to_value(layout.fence().tried_by(probed)).unwrap_or_default();
    Ok(instance)
}

/// A step's result, with what became of the scratch server if it failed
/// because of that.
pub(super) async fn explained<T>(
    instance: &Instance,
    result: Result<T, Failure>,
) -> Result<T, Failure> {
    match result {
        Ok(done) => Ok(done),
        Err(failure) => Err(lost::explain(failure, &Layout::of(&instance.dir)).await),
    }
}

/// The cluster as seen from a database that nothing is restored into.
pub(super) fn maintenance(cluster: &ScratchCluster) -> ScratchCluster {
    ScratchCluster {
        database: MAINTENANCE_DATABASE.to_owned(),
        ..cluster.clone()
    }
}

async fn describe(
    session: &Session,
    mut cluster: ScratchCluster,
    source: Option<&SourceFacts>,
    dir: &Path,
) -> Result<Instance, Failure> {
    let doing = "look at the scratch server";
    let query = "select current_setting('server_version_num')::int4";
    let version: i32 = session.row(doing, query, &[]).await?.get(0);
    cluster.version_num = u32::try_from(version).unwrap_or_default();
    instance(session, &cluster, source, dir).await
}

/// The instance as the runner sees it.
pub(super) async fn instance(
    session: &Session,
    cluster: &ScratchCluster,
    source: Option<&SourceFacts>,
    dir: &Path,
) -> Result<Instance, Failure> {
    let changed = settings::changed(session, source).await?;
    let mut endpoint = serde_json::to_value(cluster).unwrap_or_default();
    endpoint["settings_changed"] = changed.into();
    Ok(Instance {
        dir: dir.to_owned(),
        endpoint,
    })
}

/// The server's program with its fence.
fn fenced(engine: &PostgresEngine, dir: &Path, layout: &Layout, set: &ToolSet) -> Launch {
    Launch::new(set.program("postgres"))
        .directory(&layout.root)
        .hidden(engine.source_sockets())
        .confinement(Confinement::Fenced {
            writable: vec![dir.to_owned()],
            executable: vec![set.bin_directory.clone()],
        })
}

fn server(fenced: Launch, layout: &Layout) -> Launch {
    let mut launch = fenced
        .arg("-D")
        .arg(&layout.data)
        .fence_report(&layout.fence)
        .output_to(&layout.log);
    // On the command line no `ALTER SYSTEM` of a dump can undo them.
    for (name, value) in settings::FORCED {
        launch = launch.arg("-c").arg(format!("{name}={value}"));
    }
    let sockets = layout.sockets.display();
    launch
        .arg("-c")
        .arg(format!("unix_socket_directories={sockets}"))
        .arg("-c")
        .arg(format!("port={PORT}"))
}

fn major(
    engine: &PostgresEngine,
    point: &RecoveryPoint,
    source: Option<&SourceFacts>,
) -> Result<u16, Failure> {
    engine
        .sandbox
        .version
        .or_else(|| major_of(point.source_version.as_deref()?))
        .or_else(|| major_of(&source?.version))
        .ok_or_else(|| {
            Failure::new(
                FailureKind::Invalid,
                "neither the backup nor the source tells its version",
            )
            .hint("set sandbox.local.version")
        })
}

/// The name the database has in the backup, or at the source.
fn database(engine: &PostgresEngine, point: &RecoveryPoint) -> String {
    let told = point.details.get("database");
    let configured = engine.workload.connection.as_ref();
    told.or(configured.map(|connection| &connection.database))
        .cloned()
        .unwrap_or_else(|| "restored".to_owned())
}

fn socket_fits(layout: &Layout) -> Result<(), Failure> {
    let socket = layout.socket();
    let length = socket.as_os_str().as_bytes().len();
    if length <= SOCKET_PATH_BYTES {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Invalid,
        format!(
            "the socket's path is too long: {length} bytes of at most {SOCKET_PATH_BYTES}: {}",
            socket.display()
        ),
    )
    .hint("set sandbox.local.directory to a shorter path"))
}

/// Takes away what an earlier attempt at this step left.
async fn clear(cx: &Context, layout: &Layout) -> Result<(), Failure> {
    if !layout.root.exists() {
        return Ok(());
    }
    label::end_all(cx.run, &layout.root, STOP_GRACE).await?;
    fs::remove_dir_all(&layout.root).map_err(|error| file_failure(&error, "remove", &layout.root))
}

fn make_directories(layout: &Layout, account: Option<Account>) -> Result<(), Failure> {
    for directory in [&layout.root, &layout.sockets] {
        fs::DirBuilder::new()
            .mode(0o700)
            .create(directory)
            .map_err(|error| file_failure(&error, "make", directory))?;
        hand_over(directory, account)?;
    }
    Ok(())
}

fn hand_over(path: &Path, account: Option<Account>) -> Result<(), Failure> {
    let Some(account) = account else {
        return Ok(());
    };
    std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid))
        .map_err(|error| file_failure(&error, "hand over", path))
}
