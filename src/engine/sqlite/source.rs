//! Looking at the source: facts and preflight.

use std::path::Path;

use rusqlite::Connection;

use super::{
    SqliteEngine, capture,
    connection::{failure, source},
    header, restore,
};
use crate::{
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
        record::SourceFacts,
    },
    engine::{
        Context,
        preflight::{Need, backup, space},
    },
    recovery::newest,
    spec::drill::BackupPlace,
};

pub(super) fn preflight(engine: &SqliteEngine, cx: &Context, scratch: &Path) -> Vec<Finding> {
    let (mut findings, mut room) = match &engine.workload.file {
        Some(path) => live(cx, path),
        None => (
            vec![Finding::ok("source", "none: an existing backup is drilled")],
            None,
        ),
    };
    if let Some(BackupPlace::Path { path, .. }) = &engine.existing {
        let (found, need) = existing(path);
        findings.extend(found);
        room = need;
    }
    findings.push(space(scratch, room));
    findings
}

/// As a run does. Its copy is made as large as the backup.
fn existing(path: &Path) -> (Vec<Finding>, Option<Need>) {
    match newest(path).and_then(|path| restore::identify(&path)) {
        Ok(point) => (
            vec![backup("backup", Ok(&point))],
            Some(Need {
                of: "backup",
                bytes: point.size_bytes,
                times: 2,
                at_least: 1,
            }),
        ),
        Err(failure) => (vec![backup("backup", Err(failure))], None),
    }
}

/// A backup of it is made, and a copy of that, each as large as itself.
fn live(cx: &Context, path: &Path) -> (Vec<Finding>, Option<Need>) {
    let subject = format!("file {}", path.display());
    match look(cx, path) {
        Ok((_, size)) => (
            vec![Finding::ok(subject, format!("readable, {size} bytes"))],
            Some(Need {
                of: "database",
                bytes: size,
                times: 3,
                at_least: 2,
            }),
        ),
        Err(failure) => (vec![Finding::failed(subject, &failure)], None),
    }
}

pub(super) fn inspect(engine: &SqliteEngine, cx: &Context) -> Result<Option<SourceFacts>, Failure> {
    let Some(path) = &engine.workload.file else {
        return Ok(None);
    };
    let (connection, size_bytes) = look(cx, path)?;
    let settings = capture::details(&connection).map_err(|error| failure("inspect", &error))?;
    Ok(Some(SourceFacts {
        location: path.display().to_string(),
        version: format!("SQLite {}", rusqlite::version()),
        size_bytes,
        // A file has no clock of its own: it is ours.
        clock_skew_ms: 0,
        settings,
        details: std::collections::BTreeMap::default(),
    }))
}

/// Opens the source and reads from it: the only way to know that it can be.
fn look(cx: &Context, path: &Path) -> Result<(Connection, u64), Failure> {
    let place = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => FailureKind::NotFound,
            _ => FailureKind::Denied,
        };
        Failure::new(kind, format!("look at {place}: {error}"))
    })?;
    if !metadata.is_file() {
        return Err(Failure::new(
            FailureKind::Invalid,
            format!("{place} is not a file"),
        ));
    }
    if metadata.len() == 0 {
        return Err(Failure::new(
            FailureKind::Invalid,
            format!("{place} is empty"),
        ));
    }
    let connection = source(cx, path)?;
    let read = connection.query_row("select count(*) from main.sqlite_schema", [], |row| {
        row.get::<_, i64>(0)
    });
    match read {
        Ok(_) => Ok((connection, metadata.len())),
        // SQLite holds no lock on what it does not take for a database, so
        // the header may be read here.
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
            drop(connection);
            let mut told = header::read(path)
                .err()
                .unwrap_or_else(|| failure("read", &error));
            told.kind = FailureKind::Invalid;
            Err(told)
        }
        Err(error) => Err(failure(&format!("read {place}"), &error)),
    }
}
