//! Reports of runs, as files.

use std::path::Path;

use anyhow::Context as _;

use crate::{domain::record::RunRecord, report};

/// Writes the HTML report of a run.
///
/// # Errors
/// If it cannot be written there.
pub fn write(record: &RunRecord, path: &Path) -> anyhow::Result<()> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    let html = report::html::run(record).context("cannot draw the report")?;
    std::fs::write(path, html)
        .with_context(|| format!("cannot write the report {}", path.display()))
}
