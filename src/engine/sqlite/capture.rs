//! A fresh recovery point: the online backup of one snapshot, with fingerprint
//! and inventory read in the same snapshot.

use std::{collections::BTreeMap, path::Path, time::Duration};

use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};

use super::{
    SqliteEngine, canary,
    connection::{failure, go_on, limit_time, pragma, source},
    fingerprint, inventory,
    restore::remove_database,
};
use crate::{
    domain::{
        event::Unit,
        failure::{Failure, FailureKind},
        recovery_point::{Artifact, Cut, CutBasis, Ownership, RecoveryPoint},
    },
    engine::Context,
};

const PAGES_PER_STEP: i32 = 2048;
/// How long fingerprinting may hold up writers of a database in rollback mode.
const HOLD_LIMIT: Duration = Duration::from_secs(30);

pub(super) fn capture(
    engine: &SqliteEngine,
    cx: &Context,
    into: &Path,
) -> Result<RecoveryPoint, Failure> {
    let path = engine.workload.file.as_ref().ok_or_else(|| {
        Failure::new(
            FailureKind::Invalid,
            "a fresh backup needs `workload.sqlite.file`",
        )
    })?;
    let doing = |error: rusqlite::Error| failure("read the source", &error);
    let writer = engine
        .canary
        .as_ref()
        .map(|canary| canary::Writer::start(cx, path, canary));
    let writer = writer.transpose()?;
    let connection = source(cx, path)?;

    // The transaction's first read fixes the snapshot that everything below
    // sees. `sqlite3_backup_step` uses the source connection's open read
    // transaction, so the copy is of this very snapshot.
    let mut guard = writer.as_ref().map(canary::Writer::hold);
    connection
        .execute_batch("begin; select count(*) from main.sqlite_schema")
        .map_err(doing)?;
    let at = cx.clock.now();
    if let Some(log) = &mut guard {
        log.cut();
    }
    drop(guard);

    let details = details(&connection).map_err(doing)?;
    let target = into.join("backup.db");
    remove_database(&target)?;
    backup(cx, &connection, &target)?;
    let inventory = inventory::take(&connection).map_err(doing)?;
    let fingerprint = fingerprints(engine, cx, &connection)?;
    connection.execute_batch("commit").map_err(doing)?;
    let canary = writer.map(canary::Writer::finish);
    let size_bytes = std::fs::metadata(&target).map_or(0, |metadata| metadata.len());
    Ok(RecoveryPoint {
        artifact: Artifact::PhysicalBackup { path: target },
        ownership: Ownership::Ours,
        cut: Cut {
            at: Some(at),
            basis: CutBasis::Snapshot,
            position: details
                .get("schema_version")
                .map(|v| format!("schema version {v}")),
            newest_commit: None,
        },
        size_bytes,
        producer: Some(format!("SQLite {} online backup", rusqlite::version())),
        source_version: Some(rusqlite::version().to_owned()),
        fingerprint,
        inventory: Some(inventory),
        canary,
        details,
    })
}

fn fingerprints(
    engine: &SqliteEngine,
    cx: &Context,
    connection: &Connection,
) -> Result<Option<crate::domain::fingerprint::Fingerprint>, Failure> {
    if engine.checks.fingerprints.is_none() {
        return Ok(None);
    }
    let doing = |error: rusqlite::Error| failure("fingerprint the source", &error);
    if pragma(connection, "journal_mode").map_err(doing)? != "wal" {
        // A reader keeps writers from committing here: so not for long. What
        // is not done by then is untested, and says so.
        cx.note("the source is in rollback mode: its writers wait while it is captured");
        limit_time(cx, connection, HOLD_LIMIT).map_err(doing)?;
    }
    let tables = fingerprint::tables(connection, &engine.left_out()).map_err(doing)?;
    fingerprint::take(cx, connection, &tables).map(Some)
}

impl SqliteEngine {
    /// Tables that are not fingerprinted.
    pub(super) fn left_out(&self) -> Vec<String> {
        let canary = self.canary.iter().map(|canary| canary.table.clone());
        canary
            .chain(self.checks.exclude_tables.iter().cloned())
            .collect()
    }
}

/// What the copy is compared with later.
pub(super) fn details(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let names = [
        "page_size",
        "page_count",
        "encoding",
        "auto_vacuum",
        "journal_mode",
        "schema_version",
        "user_version",
        "data_version",
    ];
    names
        .into_iter()
        .map(|name| Ok((name.to_owned(), pragma(connection, name)?)))
        .collect()
}

fn backup(cx: &Context, from: &Connection, target: &Path) -> Result<(), Failure> {
    let doing = |error: rusqlite::Error| failure("back up the source", &error);
    let mut to = Connection::open(target).map_err(doing)?;
    // An unfinished backup is thrown away whole, so it needs no journal.
    to.execute_batch("pragma journal_mode = off; pragma synchronous = off")
        .map_err(doing)?;
    let backup = Backup::new(from, &mut to).map_err(doing)?;
    loop {
        go_on(cx)?;
        let step = backup.step(PAGES_PER_STEP).map_err(doing)?;
        let progress = backup.progress();
        let total = u64::try_from(progress.pagecount).unwrap_or(0);
        let left = u64::try_from(progress.remaining).unwrap_or(0);
        cx.progress(
            "backup pages",
            total.saturating_sub(left),
            total,
            Unit::Items,
        );
        match step {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
