//! What drill files last said that could be used.

use std::{
    collections::BTreeMap,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::MemoryHistory;
use crate::{
    history::files::{Files, Said},
    runner::store::StoreError,
};

impl MemoryHistory {
    fn noted(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Said>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Files for MemoryHistory {
    async fn noted_files(
        &self,
        after: Option<&Path>,
        limit: u32,
    ) -> Result<Vec<(PathBuf, u64)>, StoreError> {
        let files = self.noted();
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let files = files.range::<Path, _>((after, Bound::Unbounded));
        let files = files.map(|(file, said)| (file.clone(), said.digest));
        Ok(files.take(limit as usize).collect())
    }

    async fn noted_file(&self, file: &Path) -> Result<Option<String>, StoreError> {
        let files = self.noted();
        Ok(files.get(file).map(|said| said.text.clone()))
    }

    async fn note_files(&self, said: &[Said]) -> Result<(), StoreError> {
        let mut files = self.noted();
        files.extend(said.iter().map(|one| (one.file.clone(), one.clone())));
        Ok(())
    }

    async fn forget_files(&self, gone: &[PathBuf]) -> Result<(), StoreError> {
        let mut files = self.noted();
        files.retain(|file, _| !gone.contains(file));
        Ok(())
    }
}
