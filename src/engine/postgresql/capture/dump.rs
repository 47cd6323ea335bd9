//! Running `pg_dump`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
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
    process::{Launch, Launcher, killed},
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
        let path = self.into.join(DUMP);
        let connection = connection_string(self.endpoint, cx.run, password.as_ref());
        let running = self
            .launcher
            .start(self.launch(&path, &compression, connection))?;
        let mut group = Group::of(running.child.id());
        let never = CancellationToken::new();
        let (status, stderr) = tokio::select! {
            ended = running.wait(&never) => ended?,
            never = self.tell_progress(cx, &path) => match never {},
        };
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
        Ok(Made {
            size_bytes: size_of(path).await,
            producer: format!("pg_dump {}", self.tools.version),
            compression,
        })
    }

    /// Files are synced at the end, as in a real backup: else the kernel would
    /// write them out during the restore, whose time is measured.
    fn launch(&self, path: &Path, compression: &str, connection: String) -> Launch {
        Launch::new(self.tools.program("pg_dump"))
            .args(["--format=directory", "--no-password"])
            .arg(format!("--jobs={}", self.fresh.jobs.max(1)))
            .arg(format!("--snapshot={}", self.exported.id))
            .arg(format!("--compress={compression}"))
            .arg(format!("--lock-wait-timeout={LOCK_TIMEOUT}"))
            .arg("--file")
            .arg(path)
            .arg("--dbname")
            .arg(connection)
    }

    /// Never ends by itself.
    async fn tell_progress(&self, cx: &Context, path: &Path) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(POLL).await;
            let begun = cx.clock.monotonic();
            let done = size_of(path.to_owned()).await;
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
    leader: Option<Pid>,
}

impl Group {
    fn of(leader: Option<u32>) -> Self {
        let leader = leader.and_then(|id| i32::try_from(id).ok());
        Self {
            leader: leader.map(Pid::from_raw),
        }
    }

    /// It ended by itself: its number may be given away again.
    fn ended(&mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // The only error is that nobody is left.
            let _ = killpg(leader, Signal::SIGTERM);
        }
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
