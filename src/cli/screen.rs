//! Watching a run, in the way that suits standard error.

use std::{
    io::{self, IsTerminal},
    sync::Arc,
};

use super::{log::Log, progress::Progress};
use crate::domain::event::Listener;

/// Shows a run while it goes on.
pub enum Watcher {
    /// On a terminal.
    Progress(Arc<Progress>),
    /// Elsewhere.
    Log(Arc<Log>),
}

/// Watches on standard error.
///
/// # Errors
/// If the system gives no thread.
pub fn watcher() -> io::Result<Watcher> {
    if io::stderr().is_terminal() {
        return Ok(Watcher::Progress(Arc::new(Progress::stderr()?)));
    }
    Ok(Watcher::Log(Arc::new(Log::new(io::stderr())?)))
}

impl Watcher {
    /// Hears the events of the run.
    #[must_use]
    pub fn listener(&self) -> Arc<dyn Listener> {
        match self {
            Self::Progress(progress) => progress.clone(),
            Self::Log(log) => log.clone(),
        }
    }

    /// Waits until everything is shown.
    pub fn finish(&self) {
        match self {
            Self::Progress(progress) => progress.finish(),
            Self::Log(log) => log.finish(),
        }
    }
}
