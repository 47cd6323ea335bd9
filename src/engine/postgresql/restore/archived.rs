//! Archives, loaded by `pg_restore`.

use std::{collections::BTreeSet, fs, os::unix::process::ExitStatusExt, path::Path};

use super::{Loaded, Work, errors::Problem, said::Said};
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::postgresql::{
        archive::header::Header,
        tools::{Tools, major_of_num},
    },
};

/// Loads an archive and gives every error that `pg_restore` went on after.
///
/// Subscriptions are loaded: `pg_dump` writes them with `connect = false`, so
/// they come disabled, and the server has no workers for them.
///
/// Workers of a parallel load can lock each other out, as when they attach the
/// indexes of nested partitions: `pg_restore` does not know all locks that a
/// statement takes. The backup is not at fault, so what failed from then on is
/// tried again, one by one.
pub(super) async fn load(
    work: &Work<'_>,
    path: &Path,
    format: &str,
    header: &Header,
) -> Result<Loaded, Failure> {
    let archive = Archive {
        work,
        path,
        format,
        header,
        program: program(work).await?,
    };
    let mut said = archive.run(None).await?;
    if !said.deadlocked.is_empty() {
        let failed = std::mem::take(&mut said.deadlocked);
        let text = format!(
            "{} objects met a deadlock of the parallel load: they are tried again, one by one",
            failed.len()
        );
        work.cx.note(text);
        let again = archive.run(Some(&failed)).await?;
        said.deadlocked = failed;
        said = said.after(again);
    }
    Ok(Loaded {
        total: said.ignored.unwrap_or(0).max(said.count),
        errors: said.errors.into_iter().map(|(_, error)| error).collect(),
    })
}

struct Archive<'a> {
    work: &'a Work<'a>,
    path: &'a Path,
    format: &'a str,
    header: &'a Header,
    program: std::path::PathBuf,
}

impl Archive<'_> {
    /// Loads everything, or the given entries alone.
    async fn run(&self, entries: Option<&BTreeSet<i64>>) -> Result<Said, Failure> {
        let work = self.work;
        let log = &work.layout.load_log;
        // Of an earlier attempt, or not there.
        let _ = fs::remove_file(log);
        let mut launch = work
            .client(self.program.clone())
            .args(["--no-password", "--no-tablespaces", "--verbose"])
            .arg(format!(
                "--dbname=dbname={}",
                conninfo(&work.cluster.database)
            ))
            .readable([self.path.to_owned()])
            .output_to(log);
        if let Some(entries) = entries {
            launch = launch.arg("--use-list").arg(self.list(entries)?);
        } else if self.format != "tar" {
            // A tar archive can't be read at several places.
            let jobs = work.engine.sandbox.restore_jobs.max(1);
            launch = launch.arg(format!("--jobs={jobs}"));
        }
        let launch = launch.arg(self.path);
        let finished = work.launcher().run(launch, &work.cx.cancel).await?;
        let said = Said::read(log)?;
        if let Some(failure) = self.fatal(&said) {
            return Err(failure.diagnosis(diagnosis(work, &said)));
        }
        let status = finished.status;
        if status.success() || (status.code() == Some(1) && said.ignored.is_some()) {
            return Ok(said);
        }
        let why = match status.signal() {
            Some(signal) => format!("pg_restore was killed by signal {signal}"),
            None => format!("pg_restore ended with {status}"),
        };
        let last = said.errors.last().map(|(_, error)| error.message.clone());
        let message = [Some(why), last].into_iter().flatten().collect::<Vec<_>>();
        let failure = Failure::new(FailureKind::Internal, message.join(": "));
        Err(failure.diagnosis(diagnosis(work, &said)))
    }

    /// A list of entries as `pg_restore` takes it, in the archive's own order.
    fn list(&self, entries: &BTreeSet<i64>) -> Result<std::path::PathBuf, Failure> {
        let path = self.work.layout.root.join("again.list");
        let all = self.header.entries.iter().map(|entry| entry.id);
        let lines: Vec<_> = all
            .filter(|id| entries.contains(id))
            .map(|id| format!("{id};\n"))
            .collect();
        match fs::write(&path, lines.concat()) {
            Ok(()) => Ok(path),
            Err(error) => Err(Failure::new(
                FailureKind::Exhausted,
                format!("cannot write {}: {error}", path.display()),
            )),
        }
    }

    fn fatal(&self, said: &Said) -> Option<Failure> {
        let failure = said
            .errors
            .iter()
            .find_map(|(_, error)| Problem::of(&error.message).failure(&error.message))?;
        let failure = match self.header.entry_of(&failure.message) {
            Some(entry) => failure.context(format!("{} {}", entry.kind, entry.tag)),
            None => failure,
        };
        Some(failure.context(self.path.display()))
    }
}

fn diagnosis(work: &Work<'_>, said: &Said) -> Vec<String> {
    let from = said.errors.len().saturating_sub(10);
    let mut lines: Vec<_> = said.errors[from..]
        .iter()
        .map(|(_, error)| format!("{}: {}", error.subject, error.message))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_database_stays_one_value() {
        assert_eq!(conninfo("a' host=\\x"), "'a\\' host=\\\\x'");
    }
}
