//! The shared history: a PostgreSQL database, for several processes on several
//! machines.

use std::time::Duration;

use sqlx::any::AnyPoolOptions;

use super::{Dialect, SqlHistory, backend, faults::migrated};
use crate::runner::store::StoreError;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgresql");

static POSTGRESQL: Dialect = Dialect {
    begin: "BEGIN",
    now: "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
    // Not in the way of those who read.
    turn: Some("LOCK TABLE installation IN EXCLUSIVE MODE"),
    // A server that starts anew is back by then, or a claim is lost anyway.
    patience: Duration::from_mins(2),
};

/// A process writes for a few runs at a time, and answers questions.
const MOST_CONNECTIONS: u32 = 5;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);

impl SqlHistory {
    /// Connects to the database at `url`, `postgresql://...`, and brings its
    /// schema up to date. What `url` does not say is taken from the variables
    /// that PostgreSQL's own programs know.
    ///
    /// # Errors
    /// If it cannot be reached or used, or is newer than this program.
    pub async fn at(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(MOST_CONNECTIONS)
            .acquire_timeout(CONNECT)
            .connect(url)
            .await
            .map_err(backend("reached"))?;
        MIGRATIONS.run(&pool).await.map_err(migrated)?;
        Ok(Self {
            pool,
            dialect: &POSTGRESQL,
        })
    }
}
