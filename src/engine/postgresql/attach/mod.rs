//! A copy that somebody else starts: the workload's own container, beside
//! which the agent waits until the server answers.

mod place;
mod tame;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use self::{
    place::{DATA_VARIABLE, data_directory, must_hold_data},
    tame::{arguments, tame},
};
use super::{
    cluster,
    endpoint::ScratchCluster,
    session::Session,
    tools::{Tools, major_of_num},
};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::{RestoreFacts, SourceFacts},
        recovery_point::{Artifact, RecoveryPoint},
        timeline::Milestone,
    },
    engine::{Context, Instance, Restored},
};

/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(10);

/// The database of every server.
const ANY_DATABASE: &str = "template1";

/// What the archive's command shows while archiving is off.
const SHOWN_WHEN_OFF: &str = "(disabled)";

/// How the server is reached that somebody else starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// A directory that both share; the server's socket is made there.
    pub sockets: PathBuf,
    /// The role that may do everything.
    pub superuser: String,
    /// The database that matters.
    pub database: String,
}

/// Waits until the server answers, and shows that it is tame.
pub(super) async fn start(
    attached: &Attached,
    cx: &Context,
    point: &RecoveryPoint,
    source: Option<&SourceFacts>,
    dir: &Path,
) -> Result<Instance, Failure> {
    let mut cluster = ScratchCluster {
        socket_directory: attached.sockets.clone(),
        port: cluster::PORT,
        superuser: attached.superuser.clone(),
        database: ANY_DATABASE.to_owned(),
        data_directory: PathBuf::new(),
        bin_directory: PathBuf::new(),
        version_num: 0,
    };
    cluster::Layout::of(dir).make_root()?;
    let session = answering(cx, &cluster).await?;
    cx.reached(Milestone::Accepting);
    // Before anything is written: the copy's own writes would be the newest.
    let newest = newest_commit(&session).await;
    is_tame(&session).await?;
    let (version, data) = describe(&session).await?;
    cluster.version_num = version;
    cluster.data_directory = data;
    cluster.database.clone_from(&attached.database);
    let tools = Tools::find(&[]).await;
    let tools = tools.server(major_of_num(version))?;
    cluster.bin_directory.clone_from(&tools.bin_directory);
    if matches!(point.artifact, Artifact::Volumes { .. }) {
        cx.reached(Milestone::DataRestored);
    }
    let mut instance = cluster::instance(&session, &cluster, source, dir).await?;
    instance.endpoint["newest_commit"] = serde_json::to_value(newest).unwrap_or_default();
    Ok(instance)
}

async fn answering(cx: &Context, cluster: &ScratchCluster) -> Result<Session, Failure> {
    loop {
        if let Ok(session) = Session::open(&cluster.endpoint(), cx.run).await {
            let sql = "select pg_is_in_recovery()";
            let row = session.row("ask the copy", sql, &[]).await;
            if row.is_ok_and(|row| !row.get::<_, bool>(0)) {
                return Ok(session);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = cx.cancel.cancelled() => {
                let message = "stopped on request while the copy was starting";
                return Err(Failure::new(FailureKind::Cancelled, message));
            }
        }
    }
}

/// The newest commit that the copy knows of, which only the first start after
/// a crash can say.
async fn newest_commit(session: &Session) -> Option<jiff::Timestamp> {
    let sql = "select (extract(epoch from (pg_last_committed_xact()).timestamp) * 1000000)::int8";
    // Where commit timestamps are off this is an error.
    let row = session.row("read the newest commit", sql, &[]).await.ok()?;
    jiff::Timestamp::from_microsecond(row.get::<_, Option<i64>>(0)?).ok()
}

/// Arguments may not have reached the server, by a start script of its own.
async fn is_tame(session: &Session) -> Result<(), Failure> {
    for (name, value) in tame::SETTINGS {
        let sql = "select current_setting($1, true)";
        let row = session
            .row("read the copy's settings", sql, &[&name])
            .await?;
        let found: Option<String> = row.get(0);
        let holds = |found: &str| found == value || found == SHOWN_WHEN_OFF;
        if found.as_deref().is_some_and(|found| !holds(found)) {
            let message = format!(
                "the copy would act for production: its setting {name} is `{}` and not `{value}`",
                found.unwrap_or_default()
            );
            return Err(Failure::new(FailureKind::Invalid, message).hint(
                "the container's start script does not pass its arguments to the server; see \
                 docs/kubernetes.md",
            ));
        }
    }
    Ok(())
}

async fn describe(session: &Session) -> Result<(u32, PathBuf), Failure> {
    let sql = "select current_setting('server_version_num')::int4, \
               current_setting('data_directory')";
    let row = session.row("look at the copy", sql, &[]).await?;
    let version = u32::try_from(row.get::<_, i32>(0)).unwrap_or_default();
    Ok((version, PathBuf::from(row.get::<_, &str>(1))))
}

/// What the server has recovered by itself, from its own volumes.
pub(super) async fn recovered(cx: &Context, instance: &Instance) -> Result<Restored, Failure> {
    let cluster = ScratchCluster::of(instance)?;
    let session = Session::open(&cluster.endpoint(), cx.run).await?;
    let sql = "select split_part(current_setting('server_version'), ' ', 1), \
               pg_database_size(current_database())";
    let row = session.row("look at the copy", sql, &[]).await?;
    let changed = instance.endpoint.get("settings_changed").cloned();
    let facts = RestoreFacts {
        engine_version: row.get(0),
        settings: cluster::settings::in_force(&session).await?,
        settings_changed: changed
            .and_then(|changed| serde_json::from_value(changed).ok())
            .unwrap_or_default(),
        size_bytes: u64::try_from(row.get::<_, i64>(1)).unwrap_or_default(),
        ..RestoreFacts::default()
    };
    Ok(Restored {
        facts,
        checks: Vec::new(),
    })
}
