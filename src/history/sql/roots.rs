//! Where drills had their places, and what this installation is called.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;

use super::{SqlHistory, asked::Asked, backend, faults::json};
use crate::{domain::resource::ClusterRef, history::Roots, runner::store::StoreError};

#[async_trait]
impl Roots for SqlHistory {
    async fn remember_root(&self, root: &Path, at: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO scratch_roots (path, first_used_at) VALUES ($1, $2) \
                   ON CONFLICT DO NOTHING";
        let noted = self.execute(|| {
            sqlx::query(sql)
                .bind(root.as_os_str().as_bytes().to_vec())
                .bind(at.as_microsecond())
        });
        noted.await.map(drop)
    }

    async fn roots(&self) -> Result<Vec<PathBuf>, StoreError> {
        let asked = Asked::new("SELECT path FROM scratch_roots ORDER BY path");
        let rows = self.all(asked).await?;
        rows.iter()
            .map(|row| {
                let path: Vec<u8> = row.try_get("path").map_err(backend("read"))?;
                Ok(PathBuf::from(OsString::from_vec(path)))
            })
            .collect()
    }

    async fn remember_cluster(
        &self,
        cluster: &ClusterRef,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO clusters (cluster, first_used_at) VALUES ($1, $2) \
                   ON CONFLICT DO NOTHING";
        let text = serde_json::to_string(cluster).map_err(json("written"))?;
        let noted = self.execute(|| {
            sqlx::query(sql)
                .bind(text.clone())
                .bind(at.as_microsecond())
        });
        noted.await.map(drop)
    }

    async fn clusters(&self) -> Result<Vec<ClusterRef>, StoreError> {
        let asked = Asked::new("SELECT cluster FROM clusters ORDER BY cluster");
        let rows = self.all(asked).await?;
        rows.iter()
            .map(|row| {
                let text: String = row.try_get("cluster").map_err(backend("read"))?;
                serde_json::from_str(&text).map_err(json("read"))
            })
            .collect()
    }

    async fn installation(&self, otherwise: &str) -> Result<String, StoreError> {
        if let Some(name) = self.name().await? {
            return Ok(name);
        }
        let sql = "INSERT INTO installation (only_one, name) VALUES (1, $1) \
                   ON CONFLICT DO NOTHING";
        let named = self.execute(|| sqlx::query(sql).bind(otherwise.to_owned()));
        named.await?;
        // Somebody else may have been first.
        Ok(self.name().await?.unwrap_or_else(|| otherwise.to_owned()))
    }
}

impl SqlHistory {
    async fn name(&self) -> Result<Option<String>, StoreError> {
        let rows = self
            .all(Asked::new("SELECT name FROM installation"))
            .await?;
        let named = rows
            .first()
            .map(|row| row.try_get("name").map_err(backend("read")));
        named.transpose()
    }
}
