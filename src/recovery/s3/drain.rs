//! Keeping a directory while it is filled: each file goes as soon as it is
//! finished, so that the disk holds little more than what is being written.

use std::{
    collections::{BTreeSet, VecDeque},
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};
use tokio_util::sync::CancellationToken;

use super::Shelf;
use crate::domain::failure::{Failure, FailureKind};

/// How often the kernel is asked what was closed.
const PAUSE: Duration = Duration::from_millis(100);

/// A directory whose files are finished when they are closed.
pub struct Filling {
    /// The directory's own, which `name` lies in.
    parent: PathBuf,
    name: PathBuf,
    closed: Inotify,
}

impl Filling {
    /// Watches the empty directory `name` in `parent`.
    ///
    /// # Errors
    /// If the kernel does not let it be watched.
    pub fn watch(parent: &Path, name: &Path) -> Result<Self, Failure> {
        let directory = parent.join(name);
        let failed = |error: &dyn std::fmt::Display| {
            let message = format!("cannot watch {}: {error}", directory.display());
            Failure::new(FailureKind::Exhausted, message)
                .hint("see fs.inotify.max_user_instances and max_user_watches of the kernel")
        };
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC);
        let inotify = inotify.map_err(|error| failed(&error))?;
        let added = inotify.add_watch(&directory, AddWatchFlags::IN_CLOSE_WRITE);
        added.map_err(|error| failed(&error))?;
        Ok(Self {
            parent: parent.to_owned(),
            name: name.to_owned(),
            closed: inotify,
        })
    }

    /// The files that were finished since it was asked last; waits for some.
    async fn finished(&self) -> Result<Vec<OsString>, Failure> {
        loop {
            match self.closed.read_events() {
                // What does not fit into the kernel's queue is seen at the end.
                Ok(events) => return Ok(events.into_iter().filter_map(|e| e.name).collect()),
                Err(Errno::EAGAIN) => tokio::time::sleep(PAUSE).await,
                Err(error) => {
                    let message = format!("cannot watch {}: {error}", self.directory().display());
                    return Err(Failure::new(FailureKind::Internal, message));
                }
            }
        }
    }

    fn directory(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    /// All files that are there.
    fn all(&self) -> Result<Vec<OsString>, Failure> {
        let directory = self.directory();
        let entries = fs::read_dir(&directory).and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect()
        });
        entries.map_err(|error| {
            let message = format!("cannot list {}: {error}", directory.display());
            Failure::new(FailureKind::Unavailable, message)
        })
    }
}

impl Shelf {
    /// Keeps all files of a directory, and removes each that is kept. `filled`
    /// tells that nothing more will come.
    ///
    /// # Errors
    /// If a file cannot be read or sent.
    pub async fn drain(
        &self,
        filling: &Filling,
        filled: &CancellationToken,
    ) -> Result<(), Failure> {
        let at_once = self.bucket.sizes.uploads.max(1);
        let mut waiting: VecDeque<OsString> = VecDeque::new();
        let mut seen: BTreeSet<OsString> = BTreeSet::new();
        let mut going = FuturesUnordered::new();
        let mut open = true;
        loop {
            while going.len() < at_once
                && let Some(name) = waiting.pop_front()
            {
                going.push(self.move_file(filling, name));
            }
            if !open && going.is_empty() {
                return Ok(());
            }
            let found = tokio::select! {
                Some(moved) = going.next() => {
                    moved?;
                    continue;
                }
                found = filling.finished(), if open => found?,
                () = filled.cancelled(), if open => {
                    open = false;
                    filling.all()?
                }
            };
            // A file that is closed twice was not finished at the first time:
            // pg_dump writes none so. It would be seen by its checksum.
            waiting.extend(found.into_iter().filter(|name| seen.insert(name.clone())));
        }
    }

    async fn move_file(&self, filling: &Filling, name: OsString) -> Result<(), Failure> {
        let file = filling.name.join(name);
        self.put_file(&filling.parent, &file).await?;
        let path = filling.parent.join(&file);
        fs::remove_file(&path).map_err(|error| {
            let message = format!("cannot remove {}: {error}", path.display());
            Failure::new(FailureKind::Unavailable, message)
        })
    }
}
