//! Putting the binary where another image's container can execute it.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

/// Copies this very program to `to`.
///
/// # Errors
/// If it cannot be read or written.
pub fn install(to: &Path) -> std::io::Result<()> {
    let partly = to.with_extension("part");
    fs::copy(std::env::current_exe()?, &partly)?;
    fs::set_permissions(&partly, fs::Permissions::from_mode(0o755))?;
    // Whole or not at all: an init container may be restarted.
    fs::rename(&partly, to)
}
