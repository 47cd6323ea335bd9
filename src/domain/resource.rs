//! The ledger: outside resources, written down before they are made.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Something outside the process that a run made, and must give back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Resource {
    /// A directory that carries this run's ownership file. Processes that
    /// carry the run's label or work inside it go with it.
    Directory { path: PathBuf },
}

impl Resource {
    /// A stable text that identifies the resource within its run.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Directory { path } => format!("directory:{}", path.display()),
        }
    }
}
