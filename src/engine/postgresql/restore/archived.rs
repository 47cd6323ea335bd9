//! Archives, loaded by `pg_restore`.

use std::{fs, io::BufRead, os::unix::process::ExitStatusExt, path::Path};

use super::{
    Loaded, Work,
    errors::{LoadError, Problem, redacted, subject},
};
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::postgresql::tools::{Tools, major_of_num},
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
pub(super) async fn load(work: &Work<'_>, path: &Path, format: &str) -> Result<Loaded, Failure> {
    let program = program(work).await?;
    let log = &work.layout.load_log;
    // Of an earlier attempt, or not there.
    let _ = fs::remove_file(log);
    let jobs = work.engine.sandbox.restore_jobs.max(1);
    let mut launch = work
        .client(program.clone())
        .args(["--no-password", "--no-tablespaces"])
        .arg(format!(
            "--dbname=dbname={}",
            conninfo(&work.cluster.database)
        ))
        .readable([path.to_owned()])
        .output_to(log);
    // A tar archive can't be read at several places.
    if format != "tar" {
        launch = launch.arg(format!("--jobs={jobs}"));
    }
    let launch = launch.arg(path);
    let finished = work.launcher().run(launch, &work.cx.cancel).await?;
    let said = read(log)?;
    let fatal = said
        .errors
        .iter()
        .find_map(|error| Problem::of(&error.message).failure(&error.message));
    if let Some(failure) = fatal {
        let failure = failure.context(path.display());
        return Err(failure.diagnosis(diagnosis(work, &said)));
    }
    if finished.status.success() || (finished.status.code() == Some(1) && said.ignored.is_some()) {
        return Ok(Loaded {
            total: said.ignored.unwrap_or(0).max(said.count),
            errors: said.errors,
        });
    }
    let why = match finished.status.signal() {
        Some(signal) => format!("pg_restore was killed by signal {signal}"),
        None => format!("pg_restore ended with {}", finished.status),
    };
    let last = said.errors.last().map(|error| error.message.clone());
    let message = [Some(why), last].into_iter().flatten().collect::<Vec<_>>();
    Err(Failure::new(FailureKind::Internal, message.join(": ")).diagnosis(diagnosis(work, &said)))
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
async fn program(work: &Work<'_>) -> Result<std::path::PathBuf, Failure> {
    let ours = major_of_num(work.cluster.version_num);
    let producer = work.point.producer.as_deref().and_then(|producer| {
        let version = producer.strip_prefix("pg_dump ")?;
        let major = version.split(|c: char| !c.is_ascii_digit()).next()?;
        major.parse::<u16>().ok()
    });
    match producer {
        Some(producer) if producer > ours => {
            let tools = Tools::find(&work.engine.workload.tools).await;
            let set = tools.dump_for(u32::from(producer) * 10_000)?;
            Ok(set.program("pg_restore"))
        }
        _ => Ok(work.cluster.bin_directory.join("pg_restore")),
    }
}

/// A value of a connection string.
fn conninfo(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn read(log: &Path) -> Result<Said, Failure> {
    let unreadable = |error: std::io::Error| {
        Failure::new(
            FailureKind::Internal,
            format!("cannot read {}: {error}", log.display()),
        )
    };
    let file = fs::File::open(log).map_err(unreadable)?;
    let mut said = Said::default();
    for line in std::io::BufReader::new(file).split(b'\n') {
        said.line(&String::from_utf8_lossy(&line.map_err(unreadable)?));
    }
    Ok(said)
}

impl Said {
    /// Details and contexts are passed over, and all but the first words of
    /// commands: they may show data.
    fn line(&mut self, line: &str) {
        if let Some(command) = line.strip_prefix("Command was: ") {
            // From version 14 on the entry is told in verbose mode only.
            if self.entry.is_none()
                && self.count == self.errors.len()
                && let Some(last) = self.errors.last_mut()
            {
                last.subject = subject(command);
            }
            return;
        }
        let Some(line) = line.strip_prefix("pg_restore: ") else {
            return;
        };
        if let Some(entry) = line.strip_prefix("from TOC entry ") {
            self.entry = Some(entry_name(entry));
        } else if let Some(count) = line.strip_prefix("warning: errors ignored on restore: ") {
            self.ignored = count.trim().parse().ok();
        } else if let Some(error) = line.strip_prefix("error: ") {
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
