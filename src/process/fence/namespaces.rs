//! A network, shared memory and view of the mounts of its own.
//!
//! An empty network namespace keeps out everything but unix sockets in files:
//! those are reached through the file system. So the directories that hold
//! other programs' sockets are hidden behind empty ones. Without that, a
//! function in a dump could log in to a server on the same machine as the
//! very user that the copy runs as.

use std::{
    fs::{self, File},
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::prctl,
    unistd::{getegid, geteuid},
};

use super::{FenceSpec, files::SYSTEM};

/// Where programs put sockets and shared memory, and how the empty stand-in
/// is made.
const HIDDEN: [(&str, &str); 4] = [
    ("/run", "mode=0755"),
    ("/tmp", "mode=1777"),
    ("/var/tmp", "mode=1777"),
    ("/dev/shm", "mode=1777"),
];

fn flags() -> CloneFlags {
    CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC
}

/// Enters namespaces of its own with the privileges that are there.
pub(super) fn enter_privileged() -> Result<(), String> {
    unshare(flags()).map_err(|error| explain("namespaces", error))
}

/// Enters namespaces of its own as an ordinary user, inside a user namespace
/// that maps this user to itself.
pub(super) fn enter_as_user() -> Result<(), String> {
    let (uid, gid) = (geteuid(), getegid());
    // After a change of user, /proc/self belongs to root until this is set.
    prctl::set_dumpable(true).map_err(|error| explain("a user namespace", error))?;
    unshare(flags() | CloneFlags::CLONE_NEWUSER)
        .map_err(|error| explain("a user namespace", error))?;
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("{uid} {uid} 1"))?;
    write("/proc/self/gid_map", &format!("{gid} {gid} 1"))
}

/// Hides the directories of other programs' sockets, except what the program
/// needs beneath them.
pub(super) fn hide_sockets(spec: &FenceSpec) -> Result<(), String> {
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|error| explain("mounts", error))?;
    let needed = needed(spec);
    for (directory, options) in HIDDEN {
        let directory = Path::new(directory);
        if directory.is_dir() && !directory.is_symlink() {
            hide(directory, options, &needed)?;
        }
    }
    for directory in spec.hidden.iter().filter_map(|path| hideable(path)) {
        hide(&directory, "mode=0755", &needed)?;
    }
    // The working directory still leads behind what was hidden.
    let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
    std::env::set_current_dir(&here)
        .or_else(|_| std::env::set_current_dir("/"))
        .map_err(|error| format!("cannot enter {}: {error}", here.display()))
}

/// A further directory with sockets, if it is still visible and no program
/// needs what lies beneath it.
fn hideable(directory: &Path) -> Option<PathBuf> {
    let directory = directory.canonicalize().ok()?;
    let holds_system = SYSTEM
        .iter()
        .filter_map(|path| Path::new(path).canonicalize().ok())
        .any(|system| system.starts_with(&directory));
    (directory.is_dir() && !holds_system).then_some(directory)
}

/// What stays visible, parents before what is in them.
fn needed(spec: &FenceSpec) -> Vec<PathBuf> {
    let mut paths: Vec<_> = [&spec.writable, &spec.readable, &spec.executable]
        .into_iter()
        .flatten()
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

fn hide(directory: &Path, options: &str, needed: &[PathBuf]) -> Result<(), String> {
    // Opened first: through the name they will no longer be reached.
    let mut kept = Vec::new();
    for path in needed.iter().filter(|path| path.starts_with(directory)) {
        kept.push((path, open(path)?));
    }
    mount(
        Some("tmpfs"),
        directory,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some(options),
    )
    .map_err(|error| format!("cannot hide {}: {error}", directory.display()))?;
    for (path, file) in kept {
        bring_back(path, &file)?;
    }
    Ok(())
}

fn open(path: &Path) -> Result<File, String> {
    File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))
}

fn bring_back(path: &Path, file: &File) -> Result<(), String> {
    let say = |error: &dyn std::fmt::Display| format!("cannot keep {}: {error}", path.display());
    let is_directory = file.metadata().map_err(|error| say(&error))?.is_dir();
    let parent = if is_directory {
        path
    } else {
        path.parent().unwrap_or(path)
    };
    fs::create_dir_all(parent).map_err(|error| say(&error))?;
    if !is_directory && !path.exists() {
        File::create(path)
            .and_then(|made| made.set_permissions(fs::Permissions::from_mode(0o600)))
            .map_err(|error| say(&error))?;
    }
    let none: Option<&str> = None;
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    mount(
        Some(source.as_str()),
        path,
        none,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        none,
    )
    .map_err(|error| say(&error))
}

fn write(path: &str, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {path}: {error}"))
}

fn explain(what: &str, error: Errno) -> String {
    format!("the kernel grants no {what} of its own: {error}")
}
