//! The embedded history: one file, write-ahead log, one writer at a time.
//! Several processes may use the file at once.

use std::{path::Path, time::Duration};

use sqlx::{
    Executor,
    any::AnyPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};

use super::{Dialect, SqlHistory, backend, faults::migrated, schema::accept_newer};
use crate::runner::store::StoreError;

static SQLITE: Dialect = Dialect {
    // One that began by reading could not wait for another writer.
    begin: "BEGIN IMMEDIATE",
    now: "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
    turn: None,
    // It waits by itself for another process's write.
    patience: Duration::ZERO,
    // Longer than that.
    answer: Duration::from_mins(2),
};

/// For each connection. A result that was reported must survive a power cut.
const SETTINGS: &str =
    "PRAGMA busy_timeout = 30000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON";

/// Room that SQLite needs to open a history beside what is there.
const ROOM: u64 = 256 << 10;

impl SqlHistory {
    /// Opens the file, makes it if it is not there, and brings its schema up
    /// to date. Only its owner can read it.
    ///
    /// # Errors
    /// If it can't be opened, is no such database, or is newer than this
    /// program.
    pub async fn in_file(path: &Path) -> Result<Self, StoreError> {
        let opened = Self::open_file(path).await;
        opened.map_err(|error| no_room(error, path))
    }

    async fn open_file(path: &Path) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        // Neither the change to a write-ahead log nor the migrations wait for
        // another process that is at the same: so one goes after the other.
        let file = path.to_owned();
        let waiting = tokio::task::spawn_blocking(move || turn(&file));
        let turn = waiting.await.map_err(std::io::Error::other).flatten();
        let _turn = turn.map_err(|error| StoreError::Backend {
            doing: "opened",
            source: Box::new(error),
        })?;
        bring_up_to_date(path).await?;
        let pool = AnyPoolOptions::new()
            .max_connections(1)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute(SETTINGS).await?;
                    Ok(())
                })
            })
            .connect(&url(path)?)
            .await
            .map_err(backend("opened"))?;
        Ok(Self {
            pool,
            dialect: &SQLITE,
            answers: None,
        })
    }
}

/// By a connection of its own, with settings that the other driver does not
/// take, and which says at once what is wrong.
async fn bring_up_to_date(path: &Path) -> Result<(), StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(30));
    let connected = SqlitePoolOptions::new().max_connections(1);
    let pool = connected.connect_with(options).await;
    let pool = pool.map_err(backend("opened"))?;
    let mut migrations = sqlx::migrate!("migrations/sqlite");
    accept_newer(&pool, &mut migrations).await;
    migrations.run(&pool).await.map_err(migrated)?;
    pool.close().await;
    Ok(())
}

/// The driver takes files by their address only.
fn url(path: &Path) -> Result<String, StoreError> {
    let text = path.to_str().ok_or_else(|| StoreError::Backend {
        doing: "opened",
        source: format!("{} is no text", path.display()).into(),
    })?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.-_".contains(&byte);
    let bytes = text.bytes().map(|byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    Ok(format!("sqlite://{}?mode=rwc", bytes.collect::<String>()))
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

/// On a full disk, opening fails in ways that do not say so.
fn no_room(error: StoreError, path: &Path) -> StoreError {
    let free = nix::sys::statvfs::statvfs(path.parent().unwrap_or(path))
        .map(|stat| stat.blocks_available() * stat.fragment_size());
    match error {
        StoreError::Backend { doing, .. } | StoreError::Unreachable { doing, .. }
            if free.is_ok_and(|free| free < ROOM) =>
        {
            StoreError::Full { doing }
        }
        error => error,
    }
}
