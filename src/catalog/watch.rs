//! Tells when drill files may have changed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::mpsc;

/// Files are written in several steps; this long after the first one they are
/// read.
const SETTLING: Duration = Duration::from_millis(200);

/// What the kernel does not tell of is found after this time: a place that was
/// not there, or a network's file system.
const ANYWAY: Duration = Duration::from_mins(1);

/// Watches the folders of drill files. A folder is watched and not the files in
/// it, as editors and ConfigMaps put new files in their places.
pub struct Watch {
    places: Vec<PathBuf>,
    kernel: Option<Arc<Inotify>>,
    told: mpsc::Receiver<()>,
}

impl Watch {
    /// Begins to watch. Without the kernel's help, which may have no watches
    /// left, files are read again once a minute.
    #[must_use]
    pub fn new(places: Vec<PathBuf>) -> Self {
        let kernel = Inotify::init(InitFlags::IN_CLOEXEC).ok().map(Arc::new);
        let (tell, told) = mpsc::channel(1);
        let kernel = kernel.filter(|kernel| listen(kernel.clone(), tell).is_ok());
        let watch = Self {
            places,
            kernel,
            told,
        };
        watch.add();
        watch
    }

    /// Watches what is there: adding a place once more changes nothing.
    fn add(&self) {
        let Some(kernel) = &self.kernel else {
            return;
        };
        let change = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE;
        for place in &self.places {
            let folder = match place.parent() {
                Some(parent) if !place.is_dir() => parent,
                _ => place,
            };
            // What cannot be watched is read anyway, later.
            let _ = kernel.add_watch(folder, change);
        }
    }

    /// Waits until something may have changed.
    pub async fn changed(&mut self) {
        match tokio::time::timeout(ANYWAY, self.told.recv()).await {
            Ok(Some(())) => {
                tokio::time::sleep(SETTLING).await;
                // What came meanwhile is read now.
                while self.told.try_recv().is_ok() {}
            }
            // Nobody tells.
            Ok(None) => tokio::time::sleep(ANYWAY).await,
            Err(_) => {}
        }
        self.add();
    }
}

/// The kernel is waited for in a thread, which costs nothing while it waits.
fn listen(kernel: Arc<Inotify>, tell: mpsc::Sender<()>) -> std::io::Result<()> {
    let work = move || {
        while kernel.read_events().is_ok() {
            // One that is not read yet tells enough.
            if let Err(mpsc::error::TrySendError::Closed(())) = tell.try_send(()) {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("lifeboat-files".to_owned());
    thread.spawn(work).map(drop)
}
