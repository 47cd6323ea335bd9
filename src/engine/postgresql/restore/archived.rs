//! Archives, loaded by `pg_restore`.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use super::{Loaded, Work, errors::Problem, late, said::Said, timing::Timing};
use crate::{
    domain::{
        event::Unit,
        failure::{Failure, FailureKind},
        objective::millis,
        record::Phase,
    },
    engine::postgresql::{
        archive::header::Header,
        fit,
        tools::{Tools, major_of_num},
    },
    process::{KILLED, Launch, killed},
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
    (path, format): (&Path, &str),
    header: &Header,
) -> Result<Loaded, Failure> {
    let archive = Archive {
        work,
        path,
        format,
        header,
        program: program(work).await?,
    };
    let (mut said, mut phases) = archive.all().await?;
    if !said.deadlocked.is_empty() {
        let begun = work.cx.clock.monotonic();
        said = archive.again(said).await?;
        phases.push(Phase {
            name: "what met a deadlock, once more".to_owned(),
            elapsed_ms: millis(work.cx.clock.monotonic().saturating_sub(begun)),
        });
    }
    Ok(Loaded {
        total: said.total(),
        errors: said.errors.into_iter().map(|(_, error)| error).collect(),
        phases,
    })
}

struct Archive<'a> {
    work: &'a Work<'a>,
    path: &'a Path,
    format: &'a str,
    header: &'a Header,
    program: PathBuf,
}

impl Archive<'_> {
    /// Loads everything, and tells what took longest.
    async fn all(&self) -> Result<(Said, Vec<Phase>), Failure> {
        let cx = self.work.cx;
        let mut timing = Timing::of(self.header);
        let begun = cx.clock.monotonic();
        let hear = |line: &str| {
            timing.hear(line, cx.clock.monotonic());
            let (done, total) = timing.progress();
            let what = timing.doing().unwrap_or_else(|| "load".to_owned());
            cx.progress(what, done, total, Unit::Items);
        };
        let said = self.parts(hear).await?;
        let ended = cx.clock.monotonic();
        timing.end(ended);
        if let Some(advice) = timing.advice(ended.saturating_sub(begun)) {
            cx.note(advice);
        }
        Ok((said, timing.phases()))
    }

    /// Loads everything, what has to wait last.
    async fn parts(&self, mut hear: impl FnMut(&str) + Send) -> Result<Said, Failure> {
        // A tar archive can't be read at several places.
        let jobs = match self.format {
            "tar" => None,
            _ => Some(self.work.engine.sandbox.restore_jobs.max(1)),
        };
        let launch = || match jobs {
            Some(jobs) => self.launch().arg(format!("--jobs={jobs}")),
            None => self.launch(),
        };
        let late = match jobs {
            Some(2..) => late::of(&self.header.entries),
            _ => BTreeSet::new(),
        };
        if late.is_empty() {
            return self.run(launch(), hear).await;
        }
        let all = self.header.entries.iter().map(|entry| entry.id);
        let first = self.list("first.list", &all.filter(|id| !late.contains(id)).collect())?;
        let first = launch().arg("--use-list").arg(first);
        let said = self.run(first, &mut hear).await?;
        let last = self.list("last.list", &late)?;
        let last = launch().arg("--use-list").arg(last);
        Ok(said.and(self.run(last, hear).await?))
    }

    /// Loads once more what met a deadlock; gives what it comes to.
    async fn again(&self, mut said: Said) -> Result<Said, Failure> {
        let failed = std::mem::take(&mut said.deadlocked);
        self.work.cx.note(format!(
            "{} objects met a deadlock of the parallel load: they are tried again, one by one",
            failed.len()
        ));
        let list = self.list("again.list", &failed)?;
        let launch = self.launch().arg("--use-list").arg(list);
        let again = self.run(launch, |_| ()).await?;
        said.deadlocked = failed;
        Ok(said.after(again))
    }

    fn launch(&self) -> Launch {
        let database = conninfo(&self.work.cluster.database);
        self.work
            .client(self.program.clone())
            .args(["--verbose", "--no-password", "--no-tablespaces"])
            .arg(format!("--dbname=dbname={database}"))
            .readable([self.path.to_owned()])
    }

    /// Runs to the end; `hear` is told what `pg_restore` says of its work.
    async fn run(
        &self,
        launch: Launch,
        mut hear: impl FnMut(&str) + Send,
    ) -> Result<Said, Failure> {
        let work = self.work;
        let mut said = Said::default();
        let each = |line: &str| {
            if let Some(line) = said.line(line) {
                hear(line);
            }
        };
        let launch = launch.arg(self.path);
        let launcher = work.launcher();
        let status = launcher.run_hearing(launch, &work.cx.cancel, each).await?;
        if let Some(failure) = self.fatal(&said) {
            return Err(failure.diagnosis(diagnosis(work, &said)));
        }
        if status.success() || (status.code() == Some(1) && said.ignored.is_some()) {
            return Ok(said);
        }
        let torn = said.torn.as_deref();
        let torn = torn.and_then(|torn| Problem::of(torn).failure(torn));
        let failure = match torn {
            Some(failure) => failure.context(self.path.display()),
            None => broken_off(status, &said),
        };
        Err(failure.diagnosis(diagnosis(work, &said)))
    }

    /// A list of entries as `pg_restore` takes it, in the archive's own order.
    fn list(&self, name: &str, entries: &BTreeSet<i64>) -> Result<PathBuf, Failure> {
        let path = self.work.layout.root.join(name);
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

/// `pg_restore` did not come to its end.
fn broken_off(status: ExitStatus, said: &Said) -> Failure {
    if let Some(failure) = killed("pg_restore", status) {
        return failure;
    }
    let last = said.errors.last().map(|(_, error)| error.message.as_str());
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
        .map(|(_, error)| format!("{}: {}", error.subject, error.message))
        .collect();
    lines.extend(work.layout.log_tail());
    lines
}

/// The server's own `pg_restore`, or that of the version which wrote the
/// archive where that is newer: an older one does not read it.
pub(super) async fn program(work: &Work<'_>) -> Result<PathBuf, Failure> {
    let ours = major_of_num(work.cluster.version_num);
    match fit::producer(&work.point) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_database_stays_one_value() {
        assert_eq!(conninfo("a' host=\\x"), "'a\\' host=\\\\x'");
    }
}
