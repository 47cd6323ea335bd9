//! From a backup file to a database that serves.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rusqlite::ErrorCode;
use serde::{Deserialize, Serialize};

use super::{
    connection::{failure, pragma, read_write},
    header::{self, companion},
};
use crate::{
    domain::{
        check::{CheckKind, CheckResult, Finding, Outcome},
        failure::{Failure, FailureKind},
        record::{Phase, RestoreFacts},
        recovery_point::{Artifact, Cut, CutBasis, Ownership, RecoveryPoint},
        timeline::Milestone,
    },
    engine::{Context, Instance, Restored},
};

/// The files that belong to a database beside its main file. `-shm` is only
/// an index of `-wal`, made anew.
const COMPANIONS: [&str; 2] = ["-wal", "-journal"];

/// The copy as it stands in [`Instance::endpoint`].
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Endpoint {
    file: PathBuf,
}

/// The copy's file.
pub(super) fn file(instance: &Instance) -> Result<PathBuf, Failure> {
    serde_json::from_value::<Endpoint>(instance.endpoint.clone())
        .map(|endpoint| endpoint.file)
        .map_err(|error| {
            Failure::new(
                FailureKind::Internal,
                format!("not an SQLite instance: {error}"),
            )
        })
}

pub(super) fn identify(path: &Path) -> Result<RecoveryPoint, Failure> {
    let header = header::read(path)?;
    let io = |error: std::io::Error| {
        Failure::new(
            FailureKind::Unavailable,
            format!("look at {}: {error}", path.display()),
        )
    };
    let main = std::fs::metadata(path).map_err(io)?;
    let (mut newest, mut size_bytes) = (main.modified().map_err(io)?, main.len());
    let mut details = BTreeMap::from([
        ("page_size".to_owned(), header.page_size.to_string()),
        (
            "change_counter".to_owned(),
            header.change_counter.to_string(),
        ),
    ]);
    let mut wal = false;
    for suffix in COMPANIONS {
        let Ok(metadata) = std::fs::metadata(companion(path, suffix)) else {
            continue;
        };
        newest = newest.max(metadata.modified().map_err(io)?);
        size_bytes += metadata.len();
        wal |= suffix == "-wal" && metadata.len() > 0;
        details.insert(
            format!("companion {suffix}"),
            format!("{} bytes", metadata.len()),
        );
    }
    // Pages beyond the end of the main file may still be in the log.
    if !wal {
        header::check_length(&header, main.len())
            .map_err(|failure| failure.context(path.display()))?;
    }
    if header.wal_mode && !wal {
        details.insert("wal".to_owned(), "missing".to_owned());
    }
    let artifact = Artifact::PhysicalBackup {
        path: path.to_owned(),
    };
    let cut = Cut {
        at: Timestamp::try_from(newest).ok(),
        basis: CutBasis::FileTime,
        position: Some(format!("change counter {}", header.change_counter)),
        newest_commit: None,
    };
    Ok(RecoveryPoint {
        size_bytes,
        details,
        ..RecoveryPoint::new(artifact, Ownership::Borrowed, cut)
    })
}

pub(super) fn start(cx: &Context, dir: &Path) -> Result<Instance, Failure> {
    let home = dir.join("sqlite");
    // Never the sandbox's own directory: if that is gone, the run is over.
    match std::fs::create_dir(&home) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(copy_failure(&home, &error));
        }
        _ => {}
    }
    cx.reached(Milestone::StorageBound);
    let endpoint = serde_json::json!({ "file": home.join("copy.db") });
    Ok(Instance {
        dir: dir.to_owned(),
        endpoint,
    })
}

fn copy_failure(path: &Path, error: &std::io::Error) -> Failure {
    let kind = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FailureKind::Exhausted,
        ErrorKind::NotFound => FailureKind::NotFound,
        ErrorKind::PermissionDenied => FailureKind::Denied,
        _ => FailureKind::Unavailable,
    };
    Failure::new(kind, format!("copy {}: {error}", path.display()))
}

pub(super) fn restore(
    cx: &Context,
    point: &RecoveryPoint,
    instance: &Instance,
) -> Result<Restored, Failure> {
    let began = cx.clock.monotonic();
    let (from, to) = (point.artifact.path()?, file(instance)?);
    let stamp = stamp(from);
    remove_database(&to)?;
    copy_file(from, &to)?;
    for suffix in COMPANIONS {
        let companion_from = companion(from, suffix);
        if companion_from.exists() {
            copy_file(&companion_from, &companion(&to, suffix))?;
        }
    }
    if stamp != self::stamp(from) {
        let message = format!("{} was written while it was copied", from.display());
        return Err(Failure::new(FailureKind::Conflict, message)
            .hint("name a finished backup, or use a fresh recovery point for a live database"));
    }
    let copied = cx.clock.monotonic();
    open(cx, &to)?;
    let opened = cx.clock.monotonic();
    cx.reached(Milestone::DataRestored);
    cx.reached(Milestone::Accepting);
    let phase = |name: &str, from, to: std::time::Duration| Phase {
        name: name.to_owned(),
        elapsed_ms: crate::domain::objective::millis(to.saturating_sub(from)),
    };
    Ok(Restored {
        facts: RestoreFacts {
            engine_version: format!("SQLite {}", rusqlite::version()),
            size_bytes: std::fs::metadata(&to).map_or(0, |metadata| metadata.len()),
            critical_path: vec![
                phase("copy", began, copied),
                phase("open and recover", copied, opened),
            ],
            ..RestoreFacts::default()
        },
        checks: vec![load_check(point)],
    })
}

/// Copies a file. Its mode comes along, and backups are often read-only, so
/// the copy is made writable for us alone.
fn copy_file(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::copy(from, to)
        .and_then(|_| std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o600)))
        .map_err(|error| copy_failure(from, &error))
}

/// Takes away a database that an earlier attempt left: its log would be taken
/// for the new one's.
pub(super) fn remove_database(path: &Path) -> Result<(), Failure> {
    for suffix in ["", "-shm"].into_iter().chain(COMPANIONS) {
        let path = companion(path, suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                let message = format!("cannot remove {}: {error}", path.display());
                return Err(Failure::new(FailureKind::Unavailable, message));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Sizes and times that change when somebody writes the backup.
fn stamp(path: &Path) -> Vec<Option<(u64, std::time::SystemTime)>> {
    let mut all = vec![path.to_owned()];
    all.extend(COMPANIONS.map(|suffix| companion(path, suffix)));
    all.iter()
        .map(|path| {
            std::fs::metadata(path)
                .ok()
                .and_then(|m| Some((m.len(), m.modified().ok()?)))
        })
        .collect()
}

/// Opening for writing rolls a hot journal back and recovers a log.
fn open(cx: &Context, file: &Path) -> Result<(), Failure> {
    let connection = read_write(cx, file).map_err(condemn)?;
    pragma(&connection, "schema_version")
        .and_then(|_| {
            connection.query_row("select count(*) from main.sqlite_schema", [], |_| Ok(()))
        })
        .map_err(|error| condemn_error("open the copy", &error))
}

fn condemn(mut failure: Failure) -> Failure {
    if failure.kind == FailureKind::Invalid {
        failure.kind = FailureKind::BadBackup;
    }
    failure
}

/// In the copy, damage is the backup's.
pub(super) fn condemn_error(doing: &str, error: &rusqlite::Error) -> Failure {
    let damaged = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
    let mut told = failure(doing, error);
    if error
        .sqlite_error_code()
        .is_some_and(|code| damaged.contains(&code))
    {
        told.kind = FailureKind::BadBackup;
    }
    told
}

fn load_check(point: &RecoveryPoint) -> CheckResult {
    let mut findings = Vec::new();
    if point.details.get("wal").is_some_and(|wal| wal == "missing") {
        findings.push(
            Finding::warning(
                "write-ahead log",
                "the database is in WAL mode and no -wal is beside it",
            )
            .hint(
                "if it was copied while open, commits that were not yet checkpointed are \
                     missing: copy the -wal too, or use the backup API",
            ),
        );
    }
    CheckResult {
        name: "load".to_owned(),
        kind: CheckKind::Load,
        outcome: Outcome::Pass,
        summary: "the file was copied, recovered and opened".to_owned(),
        findings,
        elapsed_ms: 0,
    }
}

pub(super) fn serve(cx: &Context, instance: &Instance) -> Result<(), Failure> {
    let doing = |error: rusqlite::Error| condemn_error("serve", &error);
    let connection = read_write(cx, &file(instance)?)?;
    let mut statement = connection
        .prepare("select name from main.sqlite_schema where type = 'table' and rootpage > 0")
        .map_err(doing)?;
    let names = statement
        .query_map([], |row| row.get::<_, String>(0))
        .map_err(doing)?;
    for name in names {
        let table = super::connection::quote(&name.map_err(doing)?);
        let sql = format!("select * from main.{table} not indexed limit 1");
        let mut read = connection.prepare(&sql).map_err(doing)?;
        if read.exists([]).map_err(doing)? {
            break;
        }
    }
    cx.reached(Milestone::Reads);
    drop(statement);
    let table = format!("\"lifeboat {}\"", cx.run.resource_name());
    connection
        .execute_batch(&format!(
            "begin immediate; create table main.{table} (a); insert into {table} values (1); commit"
        ))
        .map_err(doing)?;
    cx.reached(Milestone::Serving);
    connection
        .execute_batch(&format!("drop table main.{table}"))
        .map_err(doing)
}
