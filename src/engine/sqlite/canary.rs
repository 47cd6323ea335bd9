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

/// What was acknowledged.
#[derive(Default)]
pub(super) struct Log {
    before_cut: Vec<Acknowledged>,
    /// How many came after the cut, of which no more is kept: a capture can be
    /// long. `None` until the cut is made.
    after_cut: Option<u64>,
}

impl Log {
    /// Whatever comes from now on is after the cut.
    pub(super) fn cut(&mut self) {
        self.after_cut = Some(0);
    }

    fn add(&mut self, write: Acknowledged) {
        match &mut self.after_cut {
            Some(count) => *count += 1,
            None => self.before_cut.push(write),
        }
    }
}

/// Writes until dropped or finished.
pub(super) struct Writer {
    table: String,
    log: Arc<Mutex<Log>>,
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
        let mut first = Log::default();
        for _ in 0..WRITES_BEFORE_CUT {
            first.add(write(cx, &connection, &table).map_err(doing)?);
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
                    if let Ok(write) = write(&cx, &connection, &table) {
                        log.add(write);
                    }
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
    pub(super) fn hold(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    /// Stops, and gives the log.
    pub(super) fn finish(mut self) -> CanaryLog {
        self.end();
        let log = std::mem::take(&mut *lock(&self.log));
        CanaryLog {
            table: self.table.clone(),
            before_cut: log.before_cut,
            after_cut: log.after_cut.unwrap_or(0),
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

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_after_the_cut_are_counted_and_not_kept() {
        let mut log = Log::default();
        let write = |sequence| Acknowledged {
            sequence,
            at: jiff::Timestamp::UNIX_EPOCH,
            position: None,
        };
        (1..=3).for_each(|n| log.add(write(n)));
        log.cut();
        (4..=1000).for_each(|n| log.add(write(n)));
        assert_eq!((log.before_cut.len(), log.after_cut), (3, Some(997)));
    }
}
