//! What drill files last said that could be used.

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::runner::store::StoreError;

/// What a drill file says, and a digest by which it is known again. A drill file
/// has no secrets, only where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub file: PathBuf,
    pub digest: u64,
    pub text: String,
}

/// What a drill file last said that could be used outlives the process: the next one
/// may find it broken.
#[async_trait]
pub trait Files: Send + Sync {
    /// The files of which that is noted, each with its digest, at most `limit` and
    /// in an order of the store's own, after `after`.
    async fn noted_files(
        &self,
        after: Option<&Path>,
        limit: u32,
    ) -> Result<Vec<(PathBuf, u64)>, StoreError>;

    /// What is noted of a file.
    async fn noted_file(&self, file: &Path) -> Result<Option<String>, StoreError>;

    /// Notes what files say, in place of what they said.
    async fn note_files(&self, said: &[Said]) -> Result<(), StoreError>;

    /// Forgets files.
    async fn forget_files(&self, files: &[PathBuf]) -> Result<(), StoreError>;
}
