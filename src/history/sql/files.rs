//! What drill files last said that could be used.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use sqlx::Row;

use super::{AT_ONCE, SqlHistory, asked::Asked, backend};
use crate::{
    history::files::{Files, Said},
    runner::store::StoreError,
};

#[async_trait]
impl Files for SqlHistory {
    async fn noted_files(
        &self,
        after: Option<&Path>,
        limit: u32,
    ) -> Result<Vec<(PathBuf, u64)>, StoreError> {
        // No path is empty.
        let after = after.map(bytes).unwrap_or_default();
        let asked = Asked::new("SELECT path, digest FROM drill_files WHERE path > ");
        let asked = asked.bind(after).push(" ORDER BY path LIMIT ");
        let rows = self.all(asked.bind(i64::from(limit))).await?;
        let each = rows.iter().map(|row| {
            let path: Vec<u8> = row.try_get("path").map_err(backend("read"))?;
            let digest: i64 = row.try_get("digest").map_err(backend("read"))?;
            let path = PathBuf::from(OsString::from_vec(path));
            Ok((path, digest.cast_unsigned()))
        });
        each.collect()
    }

    async fn noted_file(&self, file: &Path) -> Result<Option<String>, StoreError> {
        let asked = Asked::new("SELECT said FROM drill_files WHERE path = ");
        let rows = self.all(asked.bind(bytes(file))).await?;
        let said = rows.first().map(|row| {
            let said: Vec<u8> = row.try_get("said").map_err(backend("read"))?;
            Ok(String::from_utf8_lossy(&said).into_owned())
        });
        said.transpose()
    }

    async fn note_files(&self, said: &[Said]) -> Result<(), StoreError> {
        let mut said: Vec<&Said> = said.iter().collect();
        // Two that note the same in another order would wait for each other.
        said.sort_by_key(|said| &said.file);
        if said.is_empty() {
            return Ok(());
        }
        let asked = Asked::new("INSERT INTO drill_files (path, digest, said) VALUES ");
        let asked = asked.rows(&said, |asked, said| {
            let asked = asked.bind(bytes(&said.file)).push(", ");
            let asked = asked.bind(said.digest.cast_signed()).push(", ");
            asked.bind(said.text.clone().into_bytes())
        });
        self.put(asked.push(
            " ON CONFLICT (path) DO UPDATE SET digest = excluded.digest, said = excluded.said",
        ))
        .await
    }

    async fn forget_files(&self, files: &[PathBuf]) -> Result<(), StoreError> {
        for some in files.chunks(AT_ONCE) {
            let asked = Asked::new("DELETE FROM drill_files WHERE path IN (VALUES ");
            let asked = asked.rows(some, |asked, file| asked.bind(bytes(file)));
            self.put(asked.push(")")).await?;
        }
        Ok(())
    }
}

/// A path need not be a text.
fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}
