//! Removing a directory with everything in it: never through a symbolic link,
//! never into another file system. Two processes may do it at once.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use super::{io as failed, same_device};
use crate::domain::failure::{Failure, FailureKind};

/// Processes that are just ending may still write: how often to begin again.
const ATTEMPTS: u32 = 5;

/// Removes `path` and everything below it; nothing there is fine.
pub(super) fn tree(path: &Path) -> Result<(), Failure> {
    for _ in 1..ATTEMPTS {
        match try_tree(path) {
            Err(failure) if failure.kind == FailureKind::Internal => {}
            result => return result,
        }
    }
    try_tree(path)
}

/// Removes everything in `path` but the entry `keep`.
pub(super) fn contents_but(path: &Path, keep: &str) -> Result<(), Failure> {
    let Some(metadata) = look_at(path)? else {
        return Ok(());
    };
    for entry in entries(path)? {
        if entry.file_name() != keep {
            refuse_mount(&entry.path(), metadata.dev())?;
            tree(&entry.path())?;
        }
    }
    Ok(())
}

/// What `path` is; `None` where nothing is.
fn look_at(path: &Path) -> Result<Option<fs::Metadata>, Failure> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        looked => looked
            .map(Some)
            .map_err(|error| failed(&error, "look at", path)),
    }
}

/// What is in a directory; nothing where another process has just removed it.
fn entries(path: &Path) -> Result<Vec<fs::DirEntry>, Failure> {
    let listed = fs::read_dir(path).and_then(Iterator::collect);
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(|error| failed(&error, "list", path)),
    }
}

fn try_tree(path: &Path) -> Result<(), Failure> {
    let Some(metadata) = look_at(path)? else {
        return Ok(());
    };
    if !metadata.is_dir() {
        return gone(fs::remove_file(path), path);
    }
    if metadata.permissions().mode() & 0o700 != 0o700 {
        // A read-only folder of a restored copy is no obstacle.
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    }
    for entry in entries(path)? {
        refuse_mount(&entry.path(), metadata.dev())?;
        try_tree(&entry.path())?;
    }
    gone(fs::remove_dir(path), path)
}

fn refuse_mount(path: &Path, device: u64) -> Result<(), Failure> {
    match same_device(path, device) {
        Ok(false) => Err(Failure::new(
            FailureKind::Conflict,
            format!("another file system is mounted at {}", path.display()),
        )
        .hint("unmount it, then run `lifeboat sweep`")),
        Err(failure) if failure.kind != FailureKind::NotFound => Err(failure),
        _ => Ok(()),
    }
}

fn gone(result: io::Result<()>, path: &Path) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed(&error, "remove", path))
        }
        _ => Ok(()),
    }
}
