//! The canary writer: a connection of its own that writes at an interval.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::Connection;

use super::connection::{failure, quote, read_write};
use crate::{
    domain::{
        canary::{Acknowledged, CanaryLog, CanaryOutcome},
        check::Finding,
        failure::Failure,
    },
    engine::Context,
    spec::drill::Canary,
};

/// A canary write gives way soon: the capture may hold writers up.
const BUSY_TIMEOUT: Duration = Duration::from_millis(100);
/// Writes acknowledged before the cut is made.
const WRITES_BEFORE_CUT: usize = 3;
/// Lost writes that are named.
const MAX_NAMED: usize = 20;

/// Writes until dropped or finished.
pub(super) struct Writer {
    table: String,
    log: Arc<Mutex<Vec<Acknowledged>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Makes the table if it is not there, makes the first writes, and goes on
    /// in a thread.
    pub(super) fn start(cx: &Context, path: &Path, canary: &Canary) -> Result<Self, Failure> {
        let connection = read_write(cx, path)?;
        let doing = |error: rusqlite::Error| failure("write the canary", &error);
        let table = quote(&canary.table);
        connection
            .execute_batch(&format!(
                "create table if not exists main.{table} \
                 (sequence integer primary key, written_at text not null, run text not null)"
            ))
            .map_err(doing)?;
        let mut first = Vec::new();
        for _ in 0..WRITES_BEFORE_CUT {
            first.push(write(cx, &connection, &table).map_err(doing)?);
        }
        connection.busy_timeout(BUSY_TIMEOUT).map_err(doing)?;
        let (log, stop) = (
            Arc::new(Mutex::new(first)),
            Arc::new(AtomicBool::new(false)),
        );
        let thread = {
            let (cx, log, stop, table) = (cx.clone(), log.clone(), stop.clone(), table.clone());
            let interval = canary.interval;
            std::thread::spawn(move || {
                // Woken early by `unpark` when it is to stop.
                std::thread::park_timeout(interval);
                while !stop.load(Ordering::Acquire) && !cx.cancel.is_cancelled() {
                    let mut log = lock(&log);
                    log.extend(write(&cx, &connection, &table).ok());
                    drop(log);
                    std::thread::park_timeout(interval);
                }
            })
        };
        Ok(Self {
            table,
            log,
            stop,
            thread: Some(thread),
        })
    }

    /// Keeps writes out while the snapshot is taken. A write holds this lock
    /// from before its commit until its acknowledgement is in the log, so with
    /// the lock in hand no write is under way: the log is what the snapshot
    /// has to hold, no more and no less.
    pub(super) fn hold(&self) -> MutexGuard<'_, Vec<Acknowledged>> {
        lock(&self.log)
    }

    /// Stops, and gives the log around a cut after `before` writes.
    pub(super) fn finish(mut self, before: usize) -> CanaryLog {
        self.end();
        let mut all = std::mem::take(&mut *lock(&self.log));
        let after_cut = all.len().saturating_sub(before) as u64;
        all.truncate(before);
        CanaryLog {
            table: self.table.clone(),
            before_cut: all,
            after_cut,
        }
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock(log: &Mutex<Vec<Acknowledged>>) -> MutexGuard<'_, Vec<Acknowledged>> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(cx: &Context, connection: &Connection, table: &str) -> rusqlite::Result<Acknowledged> {
    let sql = format!("insert into main.{table} (written_at, run) values (?1, ?2)");
    let now = cx.clock.now();
    connection
        .prepare(&sql)?
        .execute((now.to_string(), cx.run.to_string()))?;
    Ok(Acknowledged {
        sequence: connection.last_insert_rowid(),
        at: cx.clock.now(),
        position: None,
    })
}

/// What became of the writes of `log` in the copy.
pub(super) fn outcome(
    cx: &Context,
    copy: &Connection,
    log: &CanaryLog,
) -> Result<CanaryOutcome, Failure> {
    let sql = format!("select sequence from main.{} where run = ?1", log.table);
    let read = || -> rusqlite::Result<BTreeSet<i64>> {
        let mut statement = copy.prepare(&sql)?;
        statement
            .query_map([cx.run.to_string()], |row| row.get(0))?
            .collect()
    };
    let present = match read() {
        Ok(present) => present,
        // Without its table every write is lost.
        Err(error) if error.to_string().contains("no such table") => BTreeSet::new(),
        Err(error) => return Err(failure("read the canary", &error)),
    };
    let there = |write: &&Acknowledged| present.contains(&write.sequence);
    let lost = log.before_cut.iter().filter(|write| !there(write));
    Ok(CanaryOutcome {
        acknowledged: log.before_cut.len() as u64,
        lost: lost.map(|write| write.sequence).collect(),
        newest: log
            .before_cut
            .iter()
            .filter(there)
            .map(|write| write.at)
            .max(),
    })
}

/// The outcome as summary and findings of a check.
pub(super) fn findings(outcome: &CanaryOutcome) -> (String, Vec<Finding>) {
    let lost: Vec<_> = outcome
        .lost
        .iter()
        .take(MAX_NAMED)
        .map(ToString::to_string)
        .collect();
    let count = outcome.lost.len();
    let summary = format!("{} acknowledged, {count} lost", outcome.acknowledged);
    let message = format!("{count} acknowledged writes are lost: {}", lost.join(", "));
    let findings = if count == 0 {
        Vec::new()
    } else {
        vec![Finding::error("canary", message)]
    };
    (summary, findings)
}
