//! Running `pg_dump`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::sys::signal::Signal;
use tokio_util::sync::CancellationToken;

use super::{
    DUMP, POLL,
    connect::{PasswordFile, connection_string},
    diagnose,
    exporter::Exported,
};
use crate::{
    domain::{
        event::Unit,
        failure::{Failure, FailureKind},
    },
    engine::{
        Context,
        postgresql::{endpoint::Endpoint, tools::ToolSet},
    },
    process::{Launch, Launcher, Running, killed, signal_group},
    recovery::s3::Shelf,
    spec::drill::{Compression, FreshDump},
};

/// How long `pg_dump` waits for a table that somebody has locked.
const LOCK_TIMEOUT: &str = "60s";

/// The first major version with methods other than gzip.
const COMPRESSION_METHODS: u16 = 16;

/// One run of `pg_dump`.
pub(super) struct Dump<'a> {
    pub tools: &'a ToolSet,
    pub launcher: &'a Launcher,
    pub endpoint: &'a Endpoint,
    pub exported: &'a Exported,
    pub fresh: &'a FreshDump,
    pub into: &'a Path,
    /// Where the dump is kept instead of in a directory.
    pub shelf: Option<&'a Shelf>,
}

/// A dump that is complete.
#[derive(Debug)]
pub(super) struct Made {
    pub size_bytes: u64,
    pub producer: String,
    /// As `pg_dump` was told.
    pub compression: String,
}

impl Dump<'_> {
    /// Runs it to its end.
    ///
    /// # Errors
    /// Says what `pg_dump` met, and what to do about it.
    pub(super) async fn make(&self, cx: &Context) -> Result<Made, Failure> {
        let compression = compression_argument(self.fresh.compression, self.tools)?;
        let password = match &self.endpoint.password {
            Some(password) => Some(PasswordFile::write(
                self.into,
                password,
                self.launcher.account,
            )?),
            None => None,
        };
        let connection = connection_string(self.endpoint, cx.run, password.as_ref());
        let launch = self.launch(&compression, connection);
        let working = async {
            match self.shelf {
                None => self.in_directory(cx, launch).await,
                Some(onto) if self.in_parallel() => self.drained(cx, launch, onto).await,
                Some(onto) => self.streamed(cx, launch, onto).await,
            }
        };
        tokio::select! {
            done = working => done?,
            never = self.tell_progress(cx) => match never {},
        }
        Ok(Made {
            size_bytes: self.kept().await,
            producer: format!("pg_dump {}", self.tools.version),
            compression,
        })
    }

    /// Whether several jobs work on it: then it is a directory.
    pub(super) fn in_parallel(&self) -> bool {
        self.fresh.jobs > 1
    }

    /// Files are synced at the end, as in a real backup: else the kernel would
    /// write them out during the restore, whose time is measured.
    async fn in_directory(&self, cx: &Context, launch: Launch) -> Result<(), Failure> {
        let running = self.start(self.as_directory(launch))?;
        self.end(cx, running).await
    }

    pub(super) fn start(&self, launch: Launch) -> Result<Running, Failure> {
        self.launcher.start(launch)
    }

    /// Waits for its end; it ends with whoever waits, too.
    pub(super) async fn end(&self, cx: &Context, running: Running) -> Result<(), Failure> {
        let mut group = Group::of(running.child.id());
        let (status, stderr) = running.wait(&CancellationToken::new()).await?;
        if !status.success() {
            // The workers go with their leader, unless it was killed.
            if let Some(failure) = killed("pg_dump", status) {
                return Err(failure.diagnosis(stderr));
            }
            let end = format!("pg_dump ended with {status}");
            return Err(diagnose::failure(&end, stderr, self.endpoint, self.into));
        }
        group.ended();
        for line in stderr.iter().filter(|line| line.contains("warning:")) {
            cx.note(line.clone());
        }
        Ok(())
    }

    fn launch(&self, compression: &str, connection: String) -> Launch {
        Launch::new(self.tools.program("pg_dump"))
            .arg("--no-password")
            .arg(format!("--snapshot={}", self.exported.id))
            .arg(format!("--compress={compression}"))
            .arg(format!("--lock-wait-timeout={LOCK_TIMEOUT}"))
            .arg("--dbname")
            .arg(connection)
    }

    pub(super) fn as_directory(&self, launch: Launch) -> Launch {
        launch
            .arg("--format=directory")
            .arg(format!("--jobs={}", self.fresh.jobs.max(1)))
            .arg("--file")
            .arg(self.into.join(DUMP))
    }

    /// How much of the dump there is, wherever it is.
    async fn kept(&self) -> u64 {
        let sent = self.shelf.map_or(0, Shelf::bytes);
        sent + size_of(self.into.join(DUMP)).await
    }

    /// Never ends by itself.
    async fn tell_progress(&self, cx: &Context) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(POLL).await;
            let begun = cx.clock.monotonic();
            let done = self.kept().await;
            cx.progress("dump", done, self.exported.database_bytes, Unit::Bytes);
            // With very many tables looking takes time: at most a tenth of it.
            tokio::time::sleep((cx.clock.monotonic().saturating_sub(begun)) * 10).await;
        }
    }
}

/// What to give `--compress`.
///
/// # Errors
/// `Invalid` if that `pg_dump` does not know the method.
pub(in crate::engine::postgresql) fn compression_argument(
    compression: Compression,
    tools: &ToolSet,
) -> Result<String, Failure> {
    let methods = tools.major >= COMPRESSION_METHODS;
    match compression {
        Compression::None => Ok("0".to_owned()),
        Compression::Gzip(level) => Ok(level.to_string()),
        Compression::Lz4 if methods => Ok("lz4".to_owned()),
        Compression::Zstd(level) if methods => Ok(format!("zstd:{level}")),
        Compression::Lz4 | Compression::Zstd(_) => Err(Failure::new(
            FailureKind::Invalid,
            format!("pg_dump {} compresses with gzip only", tools.version),
        )
        .hint(
            "use `gzip` or `none`, or name the directory of pg_dump 16 or newer under \
             workload.postgresql.tools",
        )),
    }
}

/// A process group that is ended with its owner: `pg_dump` has a process of
/// its own per job, which would go on with the table at hand if only their
/// leader were killed. On SIGTERM each tells the server to stop as well.
struct Group {
    leader: Option<u32>,
}

impl Group {
    fn of(leader: Option<u32>) -> Self {
        Self { leader }
    }

    /// It ended by itself: its number may be given away again.
    fn ended(&mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        signal_group(self.leader, Signal::SIGTERM);
    }
}

/// The bytes of the files in a flat directory; 0 where it is not there yet.
async fn size_of(directory: PathBuf) -> u64 {
    let sum = move || {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.metadata().ok())
            .map(|metadata| metadata.len())
            .sum()
    };
    tokio::task::spawn_blocking(sum).await.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compression_follows_the_tools() {
        let tools = |major| ToolSet {
            bin_directory: "/bin".into(),
            major,
            version: format!("{major}.1"),
        };
        let argument = |compression, major| compression_argument(compression, &tools(major));
        assert_eq!(argument(Compression::Gzip(6), 13).unwrap(), "6");
        assert_eq!(argument(Compression::None, 17).unwrap(), "0");
        assert_eq!(argument(Compression::Zstd(3), 16).unwrap(), "zstd:3");
        let failure = argument(Compression::Lz4, 15).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Invalid);
        assert!(failure.hint.unwrap().contains("16"));
    }
}
