//! The state directory.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::{
    clock::{Clock, SystemClock},
    domain::{
        failure::{Failure, FailureKind},
        ids::RunId,
    },
};

/// Where things are kept.
#[derive(Debug, Clone)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// `explicit`, or the user's own place.
    ///
    /// # Errors
    /// If there is no home directory to put it in.
    pub fn choose(explicit: Option<PathBuf>) -> anyhow::Result<Self> {
        if let Some(path) = explicit {
            let path = std::path::absolute(&path)
                .with_context(|| format!("cannot use {} as state directory", path.display()))?;
            return Ok(Self(path));
        }
        if nix::unistd::geteuid().is_root() {
            return Ok(Self(PathBuf::from("/var/lib/lifeboat")));
        }
        if let Some(state) = std::env::var_os("XDG_STATE_HOME") {
            return Ok(Self(PathBuf::from(state).join("lifeboat")));
        }
        let home = std::env::var_os("HOME").context("HOME is not set; use --state-dir")?;
        Ok(Self(PathBuf::from(home).join(".local/state/lifeboat")))
    }

    /// The embedded history.
    #[must_use]
    pub fn history(&self) -> PathBuf {
        self.0.join("history.db")
    }

    /// Scratch directories, where a drill does not say otherwise.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.0.join("scratch")
    }

    /// The HTML report of a run.
    #[must_use]
    pub fn report(&self, run: RunId) -> PathBuf {
        self.reports().join(format!("{run}.html"))
    }

    /// All of them.
    #[must_use]
    pub fn reports(&self) -> PathBuf {
        self.0.join("reports")
    }

    /// A name for this installation that no other has; made at the first time.
    pub(super) fn installation(&self) -> anyhow::Result<String> {
        let path = self.0.join("installation");
        let doing = || format!("cannot keep {}", path.display());
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok(text.trim().to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(doing),
        }
        // Two may do this at once: the first one's name stays.
        let name = RunId::new(SystemClock::new().now()).to_string();
        let mine = self.0.join(format!("installation.{name}"));
        std::fs::write(&mine, &name).with_context(doing)?;
        let linked = std::fs::hard_link(&mine, &path);
        std::fs::remove_file(&mine).with_context(doing)?;
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(doing);
            }
            _ => {}
        }
        Ok(std::fs::read_to_string(&path)
            .with_context(doing)?
            .trim()
            .to_owned())
    }

    pub(super) fn create(&self) -> anyhow::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        // Others may pass through to a scratch directory that is theirs, and
        // see nothing on the way.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(&self.0)
            .map_err(|error| {
                let place = self.0.display();
                let message = format!("cannot make the state directory {place}: {error}");
                Failure::new(FailureKind::Denied, message)
                    .hint("choose a place where this user may write with --state-dir")
            })?;
        Ok(())
    }
}
