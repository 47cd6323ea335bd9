//! Connections, and what SQLite's errors mean.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, limits::Limit};

use crate::{
    domain::failure::{Failure, FailureKind},
    engine::Context,
};

/// How long to wait for a lock of somebody else.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Virtual machine steps between two looks at the cancellation.
const STEPS_PER_LOOK: i32 = 20_000;
/// `SQLITE_READONLY_ROLLBACK`: <https://sqlite.org/rescode.html>.
const READONLY_ROLLBACK: i32 = 776;

/// Opens the live source: nothing is written to it, and no checkpoint is made
/// on closing.
pub(super) fn source(cx: &Context, path: &Path) -> Result<Connection, Failure> {
    let connection = read_only(cx, path)?;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(|error| failure("open the source", &error))?;
    Ok(connection)
}

/// Opens a database for reading alone.
pub(super) fn read_only(cx: &Context, path: &Path) -> Result<Connection, Failure> {
    let connection = open(cx, path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(|error| failure("open read-only", &error))?;
    Ok(connection)
}

/// Opens an existing database for reading and writing.
pub(super) fn read_write(cx: &Context, path: &Path) -> Result<Connection, Failure> {
    open(cx, path, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn open(cx: &Context, path: &Path, flags: OpenFlags) -> Result<Connection, Failure> {
    let doing = format!("open {}", path.display());
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| failure(&doing, &error))?;
    harden(cx, &connection).map_err(|error| failure(&doing, &error))?;
    Ok(connection)
}

/// A database file may come from anywhere: its schema is not trusted, it can
/// attach nothing, and every statement ends when the run is cancelled.
fn harden(cx: &Context, connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    lift_limit(cx, connection)
}

/// Lets statements end on cancellation alone.
pub(super) fn lift_limit(cx: &Context, connection: &Connection) -> rusqlite::Result<()> {
    let cancel = cx.cancel.clone();
    connection.progress_handler(STEPS_PER_LOOK, Some(move || cancel.is_cancelled()))
}

/// Lets statements end on cancellation and after `limit`.
pub(super) fn limit_time(
    cx: &Context,
    connection: &Connection,
    limit: Duration,
) -> rusqlite::Result<()> {
    let (cancel, clock) = (cx.cancel.clone(), cx.clock.clone());
    let end = clock.monotonic() + limit;
    let handler = move || cancel.is_cancelled() || clock.monotonic() > end;
    connection.progress_handler(STEPS_PER_LOOK, Some(handler))
}

/// Fails if the run was cancelled.
pub(super) fn go_on(cx: &Context) -> Result<(), Failure> {
    if cx.cancel.is_cancelled() {
        return Err(Failure::new(FailureKind::Cancelled, "stopped on request"));
    }
    Ok(())
}

/// Turns SQLite's error into a failure that names what was being done. Whether
/// a corrupt file is a bad backup is known to the caller alone.
pub(super) fn failure(doing: &str, error: &rusqlite::Error) -> Failure {
    let (kind, hint) = match error {
        rusqlite::Error::SqliteFailure(inner, _) if inner.extended_code == READONLY_ROLLBACK => (
            FailureKind::Conflict,
            Some("a hot journal has to be rolled back: let the application open the file once"),
        ),
        _ => error
            .sqlite_error_code()
            .map_or((FailureKind::Internal, None), classify),
    };
    let mut failure = Failure::new(kind, format!("{doing}: {error}"));
    failure.hint = hint.map(str::to_owned);
    failure
}

fn classify(code: ErrorCode) -> (FailureKind, Option<&'static str>) {
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (
            FailureKind::Unavailable,
            Some(
                "another connection holds the lock (a long transaction, or \
                 locking_mode=EXCLUSIVE); end it or run the drill at another time",
            ),
        ),
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied => {
            (FailureKind::Denied, None)
        }
        ErrorCode::CannotOpen | ErrorCode::ReadOnly => (
            FailureKind::Denied,
            Some(
                "the file has to be readable; in WAL mode its directory and -shm file have to be \
                 writable, too",
            ),
        ),
        ErrorCode::NotADatabase => (
            FailureKind::Invalid,
            Some("the file is no SQLite database, or is encrypted"),
        ),
        ErrorCode::DatabaseCorrupt => (FailureKind::Invalid, Some("run PRAGMA integrity_check")),
        ErrorCode::DiskFull | ErrorCode::OutOfMemory => (FailureKind::Exhausted, None),
        ErrorCode::OperationInterrupted => (FailureKind::Cancelled, None),
        _ => (FailureKind::Internal, None),
    }
}

/// Reads a pragma as text.
pub(super) fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<String> {
    connection.pragma_query_value(None, name, |row| {
        let value: rusqlite::types::Value = row.get(0)?;
        Ok(super::query::text(&value).unwrap_or_default())
    })
}

/// Quotes an identifier.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
