//! The embedded history: one SQLite file, write-ahead log, one writer at a
//! time. Several processes may use the file at once.

mod agenda;
mod queries;

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{
    Row, Sqlite, SqlitePool, Transaction,
    migrate::MigrateError,
    sqlite::{
        SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
    },
};

use super::Roots;
use crate::{
    domain::{
        ids::RunId,
        journal::Entry,
        record::RunRecord,
        resource::{ClusterRef, Resource},
        step::Acquired,
        verdict::Verdict,
    },
    runner::store::{Claim, Owner, RunStore, StoreError, Unfinished, Write},
};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// How long to wait for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// A history in a file.
#[derive(Debug, Clone)]
pub struct SqliteHistory {
    pool: SqlitePool,
}

impl SqliteHistory {
    /// Opens the file, makes it if it is not there, and brings its schema up
    /// to date. Only its owner can read it.
    ///
    /// # Errors
    /// If it can't be opened, is no such database, or is newer than this
    /// program.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = Self::open_file(path).await;
        opened.map_err(|error| no_room(error, path))
    }

    async fn open_file(path: &Path) -> Result<Self, StoreError> {
        // Neither the change to a write-ahead log nor the migrations wait for
        // another process that is at the same: so one goes after the other.
        let file = path.to_owned();
        let waiting = tokio::task::spawn_blocking(move || turn(&file));
        let turn = waiting.await.map_err(std::io::Error::other).flatten();
        let _turn = turn.map_err(|error| StoreError::Backend {
            doing: "opened",
            source: Box::new(error),
        })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A result that was reported must survive a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .map_err(backend("opened"))?;
        MIGRATIONS.run(&pool).await.map_err(migrated)?;
        Ok(Self { pool })
    }

    /// A transaction that holds the write lock from its beginning: one that
    /// began by reading could not wait for another writer.
    async fn begin_write(&self) -> Result<Transaction<'_, Sqlite>, StoreError> {
        const BEGIN: &str = "BEGIN IMMEDIATE";
        let begun = match self.pool.begin_with(BEGIN).await {
            // On a full disk SQLite ends a transaction by itself, which the
            // driver does not learn: a new connection is without that past.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                let stuck = self.pool.acquire().await.map_err(backend("written"))?;
                stuck.close().await.map_err(backend("written"))?;
                self.pool.begin_with(BEGIN).await
            }
            begun => begun,
        };
        begun.map_err(backend("written"))
    }

    async fn journal(&self, run: &str) -> Result<Vec<Entry>, StoreError> {
        let rows = sqlx::query("SELECT entry FROM journal WHERE run_id = ? ORDER BY sequence")
            .bind(run)
            .fetch_all(&self.pool)
            .await
            .map_err(backend("read"))?;
        rows.iter()
            .map(|row| from_json(run, row, "entry"))
            .collect()
    }

    async fn ledger(&self, run: &str) -> Result<Vec<(Acquired, Resource)>, StoreError> {
        let sql = "SELECT acquired, resource FROM ledger \
                   WHERE run_id = ? AND released_at IS NULL ORDER BY intended_at";
        let rows = sqlx::query(sql)
            .bind(run)
            .fetch_all(&self.pool)
            .await
            .map_err(backend("read"))?;
        rows.iter()
            .map(|row| {
                Ok((
                    from_json(run, row, "acquired")?,
                    from_json(run, row, "resource")?,
                ))
            })
            .collect()
    }
}

#[async_trait]
impl RunStore for SqliteHistory {
    async fn begin(&self, record: &RunRecord, owner: &Owner) -> Result<Claim, StoreError> {
        let mut transaction = self.begin_write().await?;
        let live = sqlx::query("SELECT id, owner FROM runs WHERE drill = ? AND verdict IS NULL")
            .bind(&record.drill)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(backend("read"))?;
        if let Some(row) = live {
            let id: String = row.try_get("id").map_err(backend("read"))?;
            return Err(StoreError::Busy {
                drill: record.drill.clone(),
                run: parse_id(&id)?,
                owner: from_json(&id, &row, "owner")?,
            });
        }
        let sql = "INSERT INTO runs (id, drill, requested_at, negative_control, owner, record) \
                   VALUES (?, ?, ?, ?, ?, ?)";
        sqlx::query(sql)
            .bind(record.id.to_string())
            .bind(&record.drill)
            .bind(record.requested_at.as_microsecond())
            .bind(record.negative_control)
            .bind(to_json(record.id, owner)?)
            .bind(to_json(record.id, record)?)
            .execute(&mut *transaction)
            .await
            .map_err(backend("written"))?;
        agenda::started(&mut transaction, record).await?;
        transaction.commit().await.map_err(backend("written"))?;
        Ok(Claim {
            run: record.id,
            epoch: 1,
        })
    }

    async fn write(
        &self,
        claim: &Claim,
        at: Timestamp,
        writes: &[Write<'_>],
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        let held = sqlx::query("SELECT 1 FROM runs WHERE id = ? AND epoch = ?")
            .bind(claim.run.to_string())
            .bind(claim.epoch)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(backend("read"))?;
        if held.is_none() {
            return Err(StoreError::ClaimLost { run: claim.run });
        }
        for write in writes {
            apply(&mut transaction, claim.run, at, write).await?;
        }
        transaction.commit().await.map_err(backend("written"))
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        let sql = "SELECT id, owner, epoch, record FROM runs \
                   WHERE finished_at IS NULL ORDER BY requested_at, id";
        let rows = sqlx::query(sql)
            .fetch_all(&self.pool)
            .await
            .map_err(backend("read"))?;
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            let id: String = row.try_get("id").map_err(backend("read"))?;
            all.push(Unfinished {
                record: from_json(&id, row, "record")?,
                owner: from_json(&id, row, "owner")?,
                epoch: row.try_get("epoch").map_err(backend("read"))?,
                journal: self.journal(&id).await?,
                ledger: self.ledger(&id).await?,
            });
        }
        Ok(all)
    }

    async fn take_over(
        &self,
        run: RunId,
        epoch: i64,
        owner: &Owner,
    ) -> Result<Option<Claim>, StoreError> {
        let sql = "UPDATE runs SET epoch = epoch + 1, owner = ? \
                   WHERE id = ? AND epoch = ? AND finished_at IS NULL";
        let taken = sqlx::query(sql)
            .bind(to_json(run, owner)?)
            .bind(run.to_string())
            .bind(epoch)
            .execute(&self.pool)
            .await
            .map_err(backend("written"))?;
        Ok((taken.rows_affected() == 1).then(|| Claim {
            run,
            epoch: epoch + 1,
        }))
    }
}

async fn apply(
    transaction: &mut Transaction<'_, Sqlite>,
    run: RunId,
    at: Timestamp,
    write: &Write<'_>,
) -> Result<(), StoreError> {
    let (id, at) = (run.to_string(), at.as_microsecond());
    let query = match write {
        Write::Entry(entry) => sqlx::query(
            "INSERT INTO journal (run_id, sequence, at, entry) \
             SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3 FROM journal WHERE run_id = ?1",
        )
        .bind(id)
        .bind(at)
        .bind(to_json(run, entry)?),
        Write::Intend(acquired, resource) => sqlx::query(
            "INSERT INTO ledger (run_id, acquired, resource, intended_at) VALUES (?, ?, ?, ?)",
        )
        .bind(id)
        .bind(to_json(run, acquired)?)
        .bind(to_json(run, resource)?)
        .bind(at),
        Write::Identify(acquired, old, new) => sqlx::query(
            "UPDATE ledger SET resource = ? WHERE run_id = ? AND acquired = ? AND resource = ?",
        )
        .bind(to_json(run, new)?)
        .bind(id)
        .bind(to_json(run, acquired)?)
        .bind(to_json(run, old)?),
        Write::Strike(acquired) => {
            sqlx::query("UPDATE ledger SET released_at = ? WHERE run_id = ? AND acquired = ?")
                .bind(at)
                .bind(id)
                .bind(to_json(run, acquired)?)
        }
        Write::Record(record) => {
            let sql = "UPDATE runs SET record = ?1, verdict = ?2, finished_at = ?3, concluded_at = \
                       CASE WHEN ?2 IS NULL THEN NULL ELSE coalesce(concluded_at, ?4) END \
                       WHERE id = ?5";
            sqlx::query(sql)
                .bind(to_json(run, record)?)
                .bind(record.verdict.map(Verdict::name))
                .bind(record.finished_at.map(Timestamp::as_microsecond))
                .bind(at)
                .bind(id)
        }
    };
    query
        .execute(&mut **transaction)
        .await
        .map_err(backend("written"))?;
    Ok(())
}

#[async_trait]
impl Roots for SqliteHistory {
    async fn remember_root(&self, root: &Path, at: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO scratch_roots (path, first_used_at) VALUES (?, ?) \
                   ON CONFLICT DO NOTHING";
        sqlx::query(sql)
            .bind(root.as_os_str().as_bytes())
            .bind(at.as_microsecond())
            .execute(&self.pool)
            .await
            .map_err(backend("written"))?;
        Ok(())
    }

    async fn roots(&self) -> Result<Vec<PathBuf>, StoreError> {
        let rows = sqlx::query("SELECT path FROM scratch_roots ORDER BY path")
            .fetch_all(&self.pool)
            .await
            .map_err(backend("read"))?;
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
        let sql = "INSERT INTO clusters (cluster, first_used_at) VALUES (?, ?) \
                   ON CONFLICT DO NOTHING";
        let text = serde_json::to_string(cluster).map_err(json("written"))?;
        sqlx::query(sql)
            .bind(text)
            .bind(at.as_microsecond())
            .execute(&self.pool)
            .await
            .map_err(backend("written"))?;
        Ok(())
    }

    async fn clusters(&self) -> Result<Vec<ClusterRef>, StoreError> {
        let rows = sqlx::query("SELECT cluster FROM clusters ORDER BY cluster")
            .fetch_all(&self.pool)
            .await
            .map_err(backend("read"))?;
        rows.iter()
            .map(|row| {
                let text: String = row.try_get("cluster").map_err(backend("read"))?;
                serde_json::from_str(&text).map_err(json("read"))
            })
            .collect()
    }
}

fn json(doing: &'static str) -> impl Fn(serde_json::Error) -> StoreError {
    move |error| StoreError::Backend {
        doing,
        source: Box::new(error),
    }
}

/// Makes the file, for its owner alone, and waits for the right to open it.
fn turn(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = |path: &Path| {
        let mut options = std::fs::OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
    };
    file(path)?;
    let turn = file(&path.with_extension("lock"))?;
    turn.lock()?;
    Ok(turn)
}

fn to_json<T: Serialize>(run: RunId, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Inconsistent {
        run: run.to_string(),
        what: error.to_string(),
    })
}

fn from_json<T: DeserializeOwned>(
    run: &str,
    row: &SqliteRow,
    column: &str,
) -> Result<T, StoreError> {
    let text: String = row.try_get(column).map_err(backend("read"))?;
    serde_json::from_str(&text).map_err(|error| StoreError::Inconsistent {
        run: run.to_owned(),
        what: format!("column {column}: {error}"),
    })
}

fn parse_id(text: &str) -> Result<RunId, StoreError> {
    text.parse().map_err(|error| StoreError::Inconsistent {
        run: text.to_owned(),
        what: format!("not a run id: {error}"),
    })
}

/// The primary part of SQLite's result codes.
const FULL: u32 = 13;
/// Room that SQLite needs to open a history beside what is there.
const ROOM: u64 = 256 << 10;

fn backend(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| match error.as_database_error() {
        Some(told) => {
            let code = told.code().and_then(|code| code.parse::<u32>().ok());
            if code.is_some_and(|code| code & 0xff == FULL) {
                return StoreError::Full { doing };
            }
            StoreError::Backend {
                doing,
                source: told.message().into(),
            }
        }
        None => StoreError::Backend {
            doing,
            source: Box::new(error),
        },
    }
}

fn migrated(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMismatch(_) | MigrateError::VersionMissing(_) => StoreError::Foreign {
            source: Box::new(error),
        },
        error => StoreError::Backend {
            doing: "brought up to date",
            source: Box::new(error),
        },
    }
}

/// On a full disk, opening fails in ways that do not say so.
fn no_room(error: StoreError, path: &Path) -> StoreError {
    let free = nix::sys::statvfs::statvfs(path.parent().unwrap_or(path))
        .map(|stat| stat.blocks_available() * stat.fragment_size());
    match error {
        StoreError::Backend { doing, .. } if free.is_ok_and(|free| free < ROOM) => {
            StoreError::Full { doing }
        }
        error => error,
    }
}
