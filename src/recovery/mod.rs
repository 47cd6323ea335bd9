//! Finding existing recovery points.

use std::path::{Path, PathBuf};

use crate::domain::failure::Failure;

/// The newest file or directory that matches `pattern`.
///
/// # Errors
/// If there is none.
pub async fn newest(pattern: &Path) -> Result<PathBuf, Failure> {
    Ok(pattern.to_owned())
}
