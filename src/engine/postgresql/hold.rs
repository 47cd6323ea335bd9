//! Holding the source while its volumes are cut.
//!
//! Without `quiesce` only the canary stands still: whatever it had acknowledged
//! has to be in every snapshot that is asked for meanwhile. With it, the server
//! is in backup mode, in this very session: a checkpoint is made first, and
//! full pages are logged until it ends. If this process or its connection
//! dies, the server ends backup mode by itself.

use tokio_util::sync::CancellationToken;

use super::{PostgresEngine, canary::Canary, capture::newest_commit, session::Session, source};
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::{Context, Held, LetGo},
};

const LABEL: &str = "lifeboat";

/// The version in which the functions got other names.
const RENAMED: i32 = 150_000;

pub(super) async fn hold(
    engine: &PostgresEngine,
    cx: &Context,
    quiesce: bool,
    held: &(dyn Fn(Held) + Send + Sync),
    let_go: CancellationToken,
) -> Result<LetGo, Failure> {
    let Some(endpoint) = engine.source_endpoint()? else {
        let message = "holding the source needs a connection to it";
        return Err(Failure::new(FailureKind::Invalid, message));
    };
    let source = source::inspect(engine, cx).await?;
    let session = Session::open(&endpoint, cx.run).await?;
    let canary = match &engine.canary {
        Some(canary) => Some(Canary::start(cx, &endpoint, canary).await?),
        None => None,
    };
    let holding = async {
        let newest_commit = newest_commit(&session).await;
        let position = if quiesce {
            Some(begin(&session).await?)
        } else {
            None
        };
        held(Held {
            source,
            position,
            newest_commit,
        });
        let_go.cancelled().await;
        if quiesce {
            end(&session).await
        } else {
            Ok(LetGo::default())
        }
    };
    let (mut gone, canary) = match canary {
        Some(canary) => (canary.cut(holding).await?, Some(canary)),
        None => (holding.await?, None),
    };
    if let Some(canary) = canary {
        gone.canary = Some(canary.finish().await);
    }
    Ok(gone)
}

async fn is_renamed(session: &Session) -> Result<bool, Failure> {
    let sql = "select current_setting('server_version_num')::int4";
    let row = session.row("ask for the version", sql, &[]).await?;
    Ok(row.get::<_, i32>(0) >= RENAMED)
}

/// A fast checkpoint, then backup mode; gives where it begins.
async fn begin(session: &Session) -> Result<String, Failure> {
    let sql = if is_renamed(session).await? {
        "select pg_backup_start($1, true)::text"
    } else {
        "select pg_start_backup($1, true, false)::text"
    };
    let row = session.row("begin backup mode", sql, &[&LABEL]).await?;
    Ok(row.get(0))
}

/// Ends it without waiting for the archive, which is not ours.
async fn end(session: &Session) -> Result<LetGo, Failure> {
    let sql = if is_renamed(session).await? {
        "select lsn::text, labelfile, spcmapfile from pg_backup_stop(false)"
    } else {
        "select lsn::text, labelfile, spcmapfile from pg_stop_backup(false, false)"
    };
    let row = session.row("end backup mode", sql, &[]).await?;
    Ok(LetGo {
        position: row.get(0),
        label: row.get(1),
        tablespaces: row.get(2),
        canary: None,
    })
}
