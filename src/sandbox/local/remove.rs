//! Removing a directory with everything in it: never through a symbolic link,
//! never into another file system.

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
    let device = fs::symlink_metadata(path)
        .map_err(|error| failed(&error, "look at", path))?
        .dev();
    for entry in fs::read_dir(path).map_err(|error| failed(&error, "list", path))? {
        let entry = entry.map_err(|error| failed(&error, "list", path))?;
        if entry.file_name() != keep {
            refuse_mount(&entry.path(), device)?;
            tree(&entry.path())?;
        }
    }
    Ok(())
}

fn try_tree(path: &Path) -> Result<(), Failure> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&error, "look at", path)),
        Ok(metadata) => metadata,
    };
    if !metadata.is_dir() {
        return gone(fs::remove_file(path), path);
    }
    if metadata.permissions().mode() & 0o700 != 0o700 {
        // A read-only folder of a restored copy is no obstacle.
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    }
    for entry in fs::read_dir(path).map_err(|error| failed(&error, "list", path))? {
        let entry = entry.map_err(|error| failed(&error, "list", path))?;
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
