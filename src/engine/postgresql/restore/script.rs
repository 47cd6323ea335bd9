//! Plain dumps, sent statement by statement.
//!
//! Not by psql: it takes the rows after a `COPY` that failed for commands,
//! some of which run programs.

use std::{
    io::Cursor,
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::SinkExt;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};
use tokio_postgres::Error;

use super::{
    Loaded, Work,
    errors::{LoadError, Problem, redacted, subject},
    split::Splitter,
};
use crate::{
    domain::{
        event::Unit,
        failure::{Failure, FailureKind},
    },
    engine::postgresql::{
        archive::{
            cut_off,
            plain::{self, damaged},
        },
        error::failure,
        session::Session,
    },
};

/// How much of `COPY` data is sent at once, in bytes.
const CHUNK: usize = 256 * 1024;

/// How many errors are kept; the rest is counted.
const KEPT: usize = 500;

/// How often progress is told: every so many bytes of the file.
const PROGRESS: u64 = 16 << 20;

struct Script<'a> {
    work: &'a Work<'a>,
    path: &'a Path,
    session: Session,
    input: Box<dyn AsyncBufRead + Send + Unpin>,
    read: Arc<AtomicU64>,
    told: u64,
    line: u64,
    loaded: Loaded,
    /// The last bytes that were read.
    end: Vec<u8>,
    /// Statements that set something for the session, each once.
    set: Vec<String>,
}

/// Loads a plain dump, compressed or not.
pub(super) async fn load(work: &Work<'_>, path: &Path) -> Result<Loaded, Failure> {
    let session = open(work).await?;
    let (input, read) = plain::open(path).await?;
    let script = Script {
        work,
        path,
        session,
        input,
        read,
        told: 0,
        line: 0,
        loaded: Loaded::default(),
        end: Vec::new(),
        set: Vec::new(),
    };
    let cancel = &work.cx.cancel;
    tokio::select! {
        loaded = script.run() => loaded,
        () = cancel.cancelled() => Err(Failure::new(
            FailureKind::Cancelled,
            "stopped on request while loading",
        )),
    }
}

async fn open(work: &Work<'_>) -> Result<Session, Failure> {
    let session = Session::open(&work.cluster.endpoint(), work.cx.run).await?;
    let overrides = "SET default_transaction_read_only = off; SET lock_timeout = 0";
    session.batch("prepare the load", overrides).await?;
    Ok(session)
}

impl Script<'_> {
    async fn run(mut self) -> Result<Loaded, Failure> {
        let mut splitter = Splitter::default();
        while let Some(line) = self.next_line().await? {
            let line = String::from_utf8(line).map_err(|_| self.not_utf8())?;
            let split = splitter.line(&line);
            if let Some(command) = split.command {
                self.command(&command)?;
            }
            for statement in split.statements {
                if let Some(escapes) = string_escapes(&statement) {
                    splitter.escapes = escapes;
                }
                self.statement(&statement).await?;
            }
        }
        match splitter.rest() {
            // A dump from a bucket was not read to its end before.
            None if !plain::complete(&self.end) => {
                Err(cut_off(self.path, "its closing line is missing"))
            }
            None => Ok(self.loaded),
            Some(_) => Err(Failure::new(
                FailureKind::BadBackup,
                format!("{} ends within a statement", self.path.display()),
            )),
        }
    }

    async fn next_line(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let mut line = Vec::new();
        let read = self.input.read_until(b'\n', &mut line).await;
        let read = read.map_err(|error| damaged(self.path, &error))?;
        self.line += 1;
        self.remember(&line);
        let bytes = self.read.load(Ordering::Relaxed);
        if bytes >= self.told + PROGRESS {
            self.told = bytes;
            let total = self.work.point.size_bytes;
            self.work.cx.progress("load", bytes, total, Unit::Bytes);
        }
        Ok((read > 0).then_some(line))
    }

    fn remember(&mut self, line: &[u8]) {
        let tail = line.len().saturating_sub(plain::END);
        self.end.extend_from_slice(&line[tail..]);
        // Not at every line: moving the rest costs more than keeping it.
        if self.end.len() > CHUNK {
            self.end.drain(..self.end.len() - plain::END);
        }
    }

    /// What `pg_dump` itself writes is passed over, all else refused.
    fn command(&self, command: &str) -> Result<(), Failure> {
        let name = command.split_whitespace().next().unwrap_or_default();
        match name {
            "\\restrict" | "\\unrestrict" | "\\connect" => Ok(()),
            _ => Err(Failure::new(
                FailureKind::Invalid,
                format!("line {} has the psql command {name}", self.line),
            )
            .hint("only what pg_dump writes can be loaded")),
        }
    }

    async fn statement(&mut self, statement: &str) -> Result<(), Failure> {
        let words: Vec<_> = statement.split_whitespace().take(2).collect();
        // Of `pg_dump --create`: the database is there already.
        if let ["CREATE" | "DROP" | "ALTER", "DATABASE"] = words.as_slice() {
            let text = format!("{} DATABASE of the dump is left out", words[0]);
            self.work.cx.note(text);
            return Ok(());
        }
        let result = if is_copy(statement) {
            self.copy(statement).await?
        } else {
            let result = self.session.client().batch_execute(statement).await;
            if result.is_ok() && is_setting(statement) {
                self.set.retain(|earlier| earlier != statement);
                self.set.push(statement.to_owned());
            }
            result
        };
        result.or_else(|error| self.error(statement, &error))
    }

    /// Sends the rows up to `\.`, or passes over them after an error.
    async fn copy(&mut self, statement: &str) -> Result<Result<(), Error>, Failure> {
        let sink = match self.session.client().copy_in(statement).await {
            Ok(sink) => sink,
            Err(error) => {
                self.reopen().await?;
                while self.row().await?.is_some() {}
                return Ok(Err(error));
            }
        };
        let mut sink = pin!(sink);
        let mut result = Ok(());
        let mut chunk = Vec::with_capacity(CHUNK);
        while let Some(row) = self.row().await? {
            chunk.extend_from_slice(&row);
            if chunk.len() >= CHUNK && result.is_ok() {
                let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK));
                result = sink.send(Cursor::new(full)).await;
            } else if result.is_err() {
                chunk.clear();
            }
        }
        if result.is_ok() && !chunk.is_empty() {
            result = sink.send(Cursor::new(chunk)).await;
        }
        // The server's own words come with the end, whatever a send gave.
        let finished = sink.finish().await.map(drop);
        Ok(finished.and(result))
    }

    /// After a `COPY` that did not begin, the driver has sent one `Sync` more
    /// than it awaits answers for, and would take each answer for the one
    /// before: so the connection is made anew.
    async fn reopen(&mut self) -> Result<(), Failure> {
        self.session = open(self.work).await?;
        for statement in &self.set {
            self.session.batch("go on with the load", statement).await?;
        }
        Ok(())
    }

    async fn row(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let Some(row) = self.next_line().await? else {
            return Err(Failure::new(
                FailureKind::BadBackup,
                format!("{} ends within the rows of a table", self.path.display()),
            ));
        };
        let is_end = row.strip_suffix(b"\n").unwrap_or(&row) == b"\\.";
        Ok((!is_end).then_some(row))
    }

    fn error(&mut self, statement: &str, error: &Error) -> Result<(), Failure> {
        let doing = format!("load line {}", self.line);
        let Some(db) = error.as_db_error() else {
            return Err(failure(&doing, error).diagnosis(self.work.layout.log_tail()));
        };
        let message = redacted(db.message());
        if let Some(failure) = Problem::of(&message).failure(&message) {
            return Err(failure.diagnosis(self.work.layout.log_tail()));
        }
        self.loaded.total += 1;
        if self.loaded.errors.len() < KEPT {
            self.loaded.errors.push(LoadError {
                subject: format!("line {}: {}", self.line, subject(statement)),
                message,
            });
        }
        Ok(())
    }

    fn not_utf8(&self) -> Failure {
        Failure::new(
            FailureKind::Invalid,
            format!("line {} is not UTF-8", self.line),
        )
        .hint("make the dump with --encoding=UTF8, or as an archive")
    }
}

fn is_setting(statement: &str) -> bool {
    let statement = statement.trim();
    statement.starts_with("SET ") || statement.starts_with("SELECT pg_catalog.set_config(")
}

fn is_copy(statement: &str) -> bool {
    let statement = statement.trim();
    statement.starts_with("COPY ") && statement.ends_with("FROM stdin;")
}

/// What a statement says of `standard_conforming_strings`.
fn string_escapes(statement: &str) -> Option<bool> {
    let value = statement
        .trim()
        .strip_prefix("SET standard_conforming_strings = ")?;
    Some(value.starts_with("off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_few_statements_that_matter_are_known() {
        assert!(is_copy("\nCOPY public.a (id) FROM stdin;"));
        assert_eq!(
            string_escapes("SET standard_conforming_strings = off;"),
            Some(true)
        );
    }
}
