//! Archives, loaded by `pg_restore`.

use std::{path::Path, process::ExitStatus};

use super::{
    Loaded, Work,
    errors::{LoadError, Problem, redacted, subject},
    timing::Timing,
};
use crate::{
    domain::{
        event::Unit,
        failure::{Failure, FailureKind},
    },
    engine::postgresql::{
        archive::header::Header,
        fit,
        tools::{Tools, major_of_num},
    },
    process::{KILLED, killed},
};

/// How many errors are kept; the rest is counted.
const KEPT: usize = 500;

/// What `pg_restore` said, read from its output.
#[derive(Debug, Default)]
struct Said {
    errors: Vec<LoadError>,
    count: usize,
    /// "errors ignored on restore", its last word.
    ignored: Option<usize>,
    /// The entry of the table of contents that is being restored.
    entry: Option<String>,
}

/// Loads an archive and gives every error that `pg_restore` went on after.
///
/// Subscriptions are loaded: `pg_dump` writes them with `connect = false`, so
/// they come disabled, and the server has no workers for them.
pub(super) async fn load(
    work: &Work<'_>,
    (path, format): (&Path, &str),
    header: &Header,
) -> Result<Loaded, Failure> {
    let program = program(work).await?;
    let jobs = work.engine.sandbox.restore_jobs.max(1);
    let mut launch = work
        .client(program.clone())
        .args(["--verbose", "--no-password", "--no-tablespaces"])
        .arg(format!(
            "--dbname=dbname={}",
            conninfo(&work.cluster.database)
        ))
        .readable([path.to_owned()]);
    // A tar archive can't be read at several places.
    if format != "tar" {
        launch = launch.arg(format!("--jobs={jobs}"));
    }
    let launch = launch.arg(path);
    let (mut said, mut timing) = (Said::default(), Timing::of(header));
    let begun = work.cx.clock.monotonic();
    let hear = |line: &str| {
        let Some(line) = said.line(line) else { return };
        timing.hear(line, work.cx.clock.monotonic());
        let (done, total) = timing.progress();
        let what = timing.doing().unwrap_or_else(|| "load".to_owned());
        work.cx.progress(what, done, total, Unit::Items);
    };
    let launcher = work.launcher();
    let status = launcher.run_hearing(launch, &work.cx.cancel, hear).await?;
    let ended = work.cx.clock.monotonic();
    timing.end(ended);
    let fatal = said
        .errors
        .iter()
        .find_map(|error| Problem::of(&error.message).failure(&error.message));
    if let Some(failure) = fatal {
        return Err(failure.diagnosis(diagnosis(work, &said)));
    }
    if status.success() || (status.code() == Some(1) && said.ignored.is_some()) {
        if let Some(advice) = timing.advice(ended.saturating_sub(begun)) {
            work.cx.note(advice);
        }
        return Ok(Loaded {
            total: said.ignored.unwrap_or(0).max(said.count),
            errors: said.errors,
            phases: timing.phases(),
        });
    }
    Err(broken_off(status, &said).diagnosis(diagnosis(work, &said)))
}

/// `pg_restore` did not come to its end.
fn broken_off(status: ExitStatus, said: &Said) -> Failure {
    if let Some(failure) = killed("pg_restore", status) {
        return failure;
    }
    let last = said.errors.last().map(|error| error.message.as_str());
    let why = format!("pg_restore ended with {status}");
    match last {
        Some(last) if last.contains("worker process died") => {
            Failure::new(FailureKind::Unavailable, format!("{why}: {last}")).hint(KILLED)
        }
        Some(last) => Failure::new(FailureKind::Internal, format!("{why}: {last}")),
        None => Failure::new(FailureKind::Internal, why),
    }
}

fn diagnosis(work: &Work<'_>, said: &Said) -> Vec<String> {
    let from = said.errors.len().saturating_sub(10);
    let mut lines: Vec<_> = said.errors[from..]
        .iter()
        .map(|error| format!("{}: {}", error.subject, error.message))
        .collect();
    lines.extend(work.layout.log_tail());
    lines
}

/// The server's own `pg_restore`, or that of the version which wrote the
/// archive where that is newer: an older one does not read it.
pub(super) async fn program(work: &Work<'_>) -> Result<std::path::PathBuf, Failure> {
    let ours = major_of_num(work.cluster.version_num);
    match fit::producer(work.point) {
        Some(producer) if producer > ours => {
            let tools = Tools::find(&work.engine.workload.tools).await;
            let set = tools.reader(producer)?;
            Ok(set.program("pg_restore"))
        }
        _ => Ok(work.cluster.bin_directory.join("pg_restore")),
    }
}

/// A value of a connection string.
fn conninfo(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

impl Said {
    /// Details and contexts are passed over, and all but the first words of
    /// commands: they may show data. Gives what else `pg_restore` tells of
    /// its work.
    fn line<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        if let Some(command) = line.strip_prefix("Command was: ") {
            // Only where the entry was not told.
            if self.entry.is_none()
                && self.count == self.errors.len()
                && let Some(last) = self.errors.last_mut()
            {
                last.subject = subject(command);
            }
            return None;
        }
        let line = line.strip_prefix("pg_restore: ")?;
        if let Some(entry) = line.strip_prefix("from TOC entry ") {
            self.entry = Some(entry_name(entry));
        } else if let Some(count) = line.strip_prefix("warning: errors ignored on restore: ") {
            self.ignored = count.trim().parse().ok();
        } else if let Some(error) = line.strip_prefix("error: ") {
            self.error(error);
        } else {
            return Some(line);
        }
        None
    }

    fn error(&mut self, error: &str) {
        self.count += 1;
        if self.errors.len() < KEPT {
            let error = error
                .strip_prefix("could not execute query: ")
                .unwrap_or(error);
            let error = error.strip_prefix("ERROR:  ").unwrap_or(error);
            self.errors.push(LoadError {
                subject: self.entry.clone().unwrap_or_else(|| "archive".to_owned()),
                message: redacted(error),
            });
        }
    }
}

/// Of `3352; 1259 16385 TABLE public a owner` the part after the numbers.
fn entry_name(entry: &str) -> String {
    let name = entry.split_once("; ").map_or(entry, |(_, rest)| rest);
    let words: Vec<_> = name.split(' ').collect();
    let numbers = words
        .iter()
        .take(2)
        .take_while(|word| word.parse::<u64>().is_ok())
        .count();
    words[numbers..].join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_blocks_of_errors() {
        let mut said = Said::default();
        for line in [
            "pg_restore: while PROCESSING TOC:",
            "pg_restore: from TOC entry 3352; 1259 16385 TABLE a bob",
            "pg_restore: error: could not execute query: ERROR:  role \"bob\" does not exist",
            "Command was: ALTER TABLE public.a OWNER TO bob;",
            "",
            "pg_restore: warning: errors ignored on restore: 3",
        ] {
            said.line(line);
        }
        assert_eq!(said.ignored, Some(3));
        assert_eq!(said.count, 1);
        assert_eq!(said.errors[0].subject, "TABLE a bob");
        assert_eq!(said.errors[0].message, "role \"bob\" does not exist");
    }

    #[test]
    fn a_name_of_a_database_stays_one_value() {
        assert_eq!(conninfo("a' host=\\x"), "'a\\' host=\\\\x'");
    }
}
