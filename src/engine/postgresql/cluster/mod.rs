//! The scratch cluster: a private server in the sandbox's directory.
//!
//! It listens on a unix socket only, in a directory that only its owner can
//! enter, and stands behind the fence. Everything lies under `DIR/pg`.

mod settings;

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    PostgresEngine,
    endpoint::{Endpoint, ScratchCluster},
    session::Session,
    tools::{ToolSet, Tools},
};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::SourceFacts,
        recovery_point::RecoveryPoint,
        timeline::Milestone,
    },
    engine::{Context, Instance},
    process::{Confinement, Launch, Running, label},
};

/// The bootstrap superuser: a name that no dump brings along.
const SUPERUSER: &str = "lifeboat_scratch";
const PORT: u16 = 5432;
/// A unix socket's path has 107 bytes (see unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;
/// How long a server that is in the way of a repeated start gets to end.
const GRACE: Duration = Duration::from_secs(5);
/// How often an unready server is asked, at first and at most.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_LOOK: Duration = Duration::from_millis(20);
/// How many lines of the server's log are shown when it does not start.
const LOG_LINES: usize = 20;

/// What [`start`] leaves for the steps after it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Started {
    #[serde(flatten)]
    pub(super) cluster: ScratchCluster,
    /// Settings that matter to restore time, as the server has them.
    pub(super) settings: std::collections::BTreeMap<String, String>,
    /// Those that are not as in the source.
    pub(super) settings_changed: Vec<String>,
    /// Encoding and locale of the source, by the names of its facts.
    pub(super) locale: std::collections::BTreeMap<String, String>,
    /// Where the fence is written down.
    pub(super) fence: PathBuf,
    pub(super) log: PathBuf,
}

impl Started {
    /// Reads it back from the runner's instance.
    pub(super) fn of(instance: &Instance) -> Result<Self, Failure> {
        serde_json::from_value(instance.endpoint.clone()).map_err(|error| {
            Failure::new(
                FailureKind::Internal,
                format!("not a started instance: {error}"),
            )
        })
    }
}

/// Where things lie.
struct Places {
    root: PathBuf,
    data: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    fence: PathBuf,
}

impl Places {
    fn under(dir: &Path) -> Self {
        let root = dir.join("pg");
        Self {
            data: root.join("data"),
            socket: root.join("sock"),
            log: root.join("log"),
            fence: root.join("fence.json"),
            root,
        }
    }
}

pub(super) async fn start(
    engine: &PostgresEngine,
    cx: &Context,
    point: &RecoveryPoint,
    source: Option<&SourceFacts>,
    dir: &Path,
) -> Result<Instance, Failure> {
    let tools = Tools::find(&engine.workload.tools).await;
    let set = tools.server(major(engine, point)?)?.clone();
    let places = Places::under(dir);
    prepare(engine, &places).await?;
    initialize(engine, cx, &set, &places).await?;
    settings::write(engine, source, &places.data, &places.socket)?;
    cx.reached(Milestone::StorageBound);
    let mut running = launch(engine, &set, &places, dir)?;
    let session = await_ready(cx, &mut running, &places).await?;
    cx.reached(Milestone::Accepting);
    running.detach();
    let version = session
        .row(
            "ask for the version",
            "select current_setting('server_version_num')::int4",
            &[],
        )
        .await?;
    let (settings, settings_changed) = settings::compare(&session, source).await?;
    let started = Started {
        cluster: ScratchCluster {
            socket_directory: places.socket,
            port: PORT,
            superuser: SUPERUSER.to_owned(),
            database: database_name(engine, point),
            data_directory: places.data,
            bin_directory: set.bin_directory,
            version_num: version.get::<_, i32>(0).unsigned_abs(),
        },
        settings,
        settings_changed,
        locale: locale(point, source),
        fence: places.fence,
        log: places.log,
    };
    let endpoint = serde_json::to_value(started).map_err(|error| {
        Failure::new(
            FailureKind::Internal,
            format!("cannot describe the instance: {error}"),
        )
    })?;
    Ok(Instance {
        dir: dir.to_owned(),
        endpoint,
    })
}

/// The drill's wish, or the version that the recovery point is of.
fn major(engine: &PostgresEngine, point: &RecoveryPoint) -> Result<u16, Failure> {
    if let Some(version) = engine.sandbox.version {
        return Ok(version);
    }
    point
        .source_version
        .as_deref()
        .and_then(|version| {
            version
                .split(|c: char| !c.is_ascii_digit())
                .find(|n| !n.is_empty())
        })
        .and_then(|major| major.parse().ok())
        .ok_or_else(|| {
            Failure::new(
                FailureKind::Invalid,
                "the backup does not tell which version of PostgreSQL it is of",
            )
            .hint("name one under spec.sandbox.local.version")
        })
}

fn locale(
    point: &RecoveryPoint,
    source: Option<&SourceFacts>,
) -> std::collections::BTreeMap<String, String> {
    let details = source.map_or(&point.details, |source| &source.details);
    ["encoding", "collate", "ctype"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), details.get(name)?.clone())))
        .collect()
}

fn database_name(engine: &PostgresEngine, point: &RecoveryPoint) -> String {
    let connection = engine.workload.connection.as_ref();
    connection
        .map(|connection| connection.database.clone())
        .or_else(|| point.details.get("database").cloned())
        .unwrap_or_else(|| "restored".to_owned())
}

/// Makes the directories; what an earlier start left is removed first, so a
/// start may be repeated.
async fn prepare(engine: &PostgresEngine, places: &Places) -> Result<(), Failure> {
    let socket = places.socket.join(format!(".s.PGSQL.{PORT}"));
    if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
        return Err(Failure::new(
            FailureKind::Invalid,
            format!("the path {} is too long for a socket", socket.display()),
        )
        .hint("choose a shorter spec.sandbox.local.directory or --state-dir"));
    }
    if places.root.exists() {
        label::end_all(engine.launcher.run, &places.root, GRACE).await?;
        fs::remove_dir_all(&places.root).map_err(|error| broken("empty", &places.root, &error))?;
    }
    for directory in [&places.root, &places.socket] {
        fs::DirBuilder::new()
            .mode(0o700)
            .create(directory)
            .map_err(|error| broken("make", directory, &error))?;
        if let Some(account) = engine.launcher.account {
            std::os::unix::fs::chown(directory, Some(account.uid), Some(account.gid))
                .map_err(|error| broken("hand over", directory, &error))?;
        }
    }
    Ok(())
}

/// `initdb` asks `postgres` for its version through a shell, so it runs before
/// the fence is up; it reads nothing that came from the recovery point.
async fn initialize(
    engine: &PostgresEngine,
    cx: &Context,
    set: &ToolSet,
    places: &Places,
) -> Result<(), Failure> {
    if nix::unistd::geteuid().is_root() && engine.launcher.account.is_none() {
        return Err(Failure::new(
            FailureKind::Invalid,
            "a PostgreSQL server does not run as root, and there is no other account",
        ));
    }
    let program = set.program("initdb");
    let launch = Launch::new(&program)
        .args([
            "--no-sync",
            "--auth=trust",
            "--data-checksums",
            "--encoding=UTF8",
        ])
        .args(["--locale=C.UTF-8", "--username", SUPERUSER, "-D"])
        .arg(&places.data)
        .directory(&places.root);
    engine
        .launcher
        .run(launch, &cx.cancel)
        .await?
        .success(&program)
        .map(drop)
}

fn launch(
    engine: &PostgresEngine,
    set: &ToolSet,
    places: &Places,
    dir: &Path,
) -> Result<Running, Failure> {
    let launch = Launch::new(set.program("postgres"))
        .arg("-D")
        .arg(&places.data)
        .directory(&places.root)
        .output_to(&places.log)
        .fence_report(&places.fence)
        .confinement(Confinement::Fenced {
            writable: vec![dir.to_owned()],
            executable: vec![set.bin_directory.clone()],
        });
    engine.launcher.start(launch)
}

/// Asks by connecting, which is the answer a client would get.
async fn await_ready(
    cx: &Context,
    running: &mut Running,
    places: &Places,
) -> Result<Session, Failure> {
    let mut pause = FIRST_LOOK;
    loop {
        if let Ok(session) = Session::open(&admin(&places.socket), cx.run).await {
            return Ok(session);
        }
        if let Ok(Some(status)) = running.child.try_wait() {
            return Err(Failure::new(
                FailureKind::Internal,
                format!("the scratch server ended with {status} instead of starting"),
            )
            .diagnosis(log_tail(&places.log)));
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_LOOK),
            () = cx.cancel.cancelled() => {
                return Err(Failure::new(FailureKind::Cancelled, "stopped on request"));
            }
        }
    }
}

/// The endpoint of the cluster's own database.
pub(super) fn admin(socket_directory: &Path) -> Endpoint {
    Endpoint {
        host: socket_directory.display().to_string(),
        port: PORT,
        database: "postgres".to_owned(),
        user: SUPERUSER.to_owned(),
        password: None,
        tls: crate::spec::drill::TlsMode::Disable,
        root_certificates: None,
        read_only: false,
    }
}

/// The last lines of the server's log.
pub(super) fn log_tail(log: &Path) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    lines[from..]
        .iter()
        .map(|line| (*line).to_owned())
        .collect()
}

fn broken(doing: &str, path: &Path, error: &std::io::Error) -> Failure {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull => FailureKind::Exhausted,
        std::io::ErrorKind::PermissionDenied => FailureKind::Denied,
        _ => FailureKind::Internal,
    };
    Failure::new(kind, format!("cannot {doing} {}: {error}", path.display()))
}
