//! Roles and other globals: what belongs to the server and not to a database.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::session::Session;
use crate::domain::failure::Failure;

/// The file beside a fresh dump that holds its globals.
pub const FILE_NAME: &str = "globals.json";

/// Roles with their attributes, memberships and settings. No passwords.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Globals {}

impl Globals {
    /// Reads them from a server; needs no superuser.
    pub async fn collect(_session: &Session) -> Result<Self, Failure> {
        Ok(Self {})
    }

    /// Statements that make them on an empty cluster, in order.
    #[must_use]
    pub fn statements(&self) -> Vec<String> {
        Vec::new()
    }

    /// Reads the file beside the dump directory, if there is one.
    pub fn beside(_dump: &Path) -> Result<Option<Self>, Failure> {
        Ok(None)
    }
}
