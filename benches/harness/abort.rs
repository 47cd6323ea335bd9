//! Leaving nothing behind: at the end, after an error, and on Ctrl-C.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use nix::{
    sys::{
        prctl,
        signal::{Signal, kill},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};

use super::meter;

/// As shells count a death by SIGINT.
const INTERRUPTED: i32 = 130;
/// How long what is asked to end may take.
const GRACE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

static STOPPED: AtomicBool = AtomicBool::new(false);

/// What the names of this process's directories begin with: the harness's own
/// and those of its servers.
fn prefixes() -> [String; 2] {
    let pid = std::process::id();
    [format!("lbbench-{pid}-"), format!("lbtest-{pid}-")]
}

/// The harness's own directory. The name is short: sockets lie beneath it, and
/// their paths must not be long.
pub fn place() -> PathBuf {
    let [own, _] = prefixes();
    std::env::temp_dir().join(own)
}

/// Cleans up and ends the process on Ctrl-C. Also makes it the parent of all
/// orphans among its descendants, so that none is lost.
pub fn on_signal() {
    prctl::set_child_subreaper(true).unwrap();
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(signal());
        STOPPED.store(true, Ordering::SeqCst);
        clean_up();
        std::process::exit(INTERRUPTED);
    });
}

/// Whether the end was asked for.
pub fn is_stopped() -> bool {
    STOPPED.load(Ordering::SeqCst)
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.unwrap(),
        _ = terminate.recv() => {}
    }
}

/// Ends every descendant, then removes every directory.
pub fn clean_up() {
    let begun = Instant::now();
    let mut asked = Vec::new();
    loop {
        while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|status| status.pid().is_some()) {
        }
        let left = meter::children(Pid::this().as_raw());
        if left.is_empty() || begun.elapsed() > GRACE * 2 {
            break;
        }
        for pid in left {
            if begun.elapsed() > GRACE {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            } else if !asked.contains(&pid) {
                asked.push(pid);
                let _ = kill(Pid::from_raw(pid), polite(pid));
            }
        }
        std::thread::sleep(LOOK);
    }
    remove_directories();
}

/// A postmaster takes SIGQUIT as "at once"; SIGTERM would wait for clients.
fn polite(pid: i32) -> Signal {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim_end() == "postgres" {
        Signal::SIGQUIT
    } else {
        Signal::SIGTERM
    }
}

fn remove_directories() {
    let entries = fs::read_dir(std::env::temp_dir()).into_iter().flatten();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if prefixes().iter().any(|prefix| name.starts_with(prefix)) {
            remove(&entry.path());
        }
    }
}

/// Removes a directory with all in it, if it is there.
pub fn remove(path: &Path) {
    if let Err(error) = fs::remove_dir_all(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        eprintln!("bench: cannot remove {}: {error}", path.display());
    }
}
