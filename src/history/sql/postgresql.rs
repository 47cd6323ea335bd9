//! The shared history: a PostgreSQL database, for several processes on several
//! machines.

use std::time::Duration;

use sqlx::{AnyPool, Executor, any::AnyPoolOptions};

use super::{Dialect, SqlHistory, backend, faults::migrated, schema::accept_newer};
use crate::runner::store::StoreError;

static POSTGRESQL: Dialect = Dialect {
    begin: "BEGIN",
    now: "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)",
    // Not in the way of those who read.
    turn: Some("LOCK TABLE installation IN EXCLUSIVE MODE"),
    // A server that starts anew is back by then, or a claim is lost anyway.
    patience: Duration::from_mins(2),
    answer: Duration::from_secs(20),
};

/// A process writes for a few runs at a time, and answers questions.
const MOST_CONNECTIONS: u32 = 5;

/// A process that is held up in the middle of a transaction would hold up all
/// others: the server ends it.
const SETTINGS: &str = "SET idle_in_transaction_session_timeout = '10s'";

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
            .after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute(SETTINGS).await?;
                    Ok(())
                })
            })
            .connect(url)
            .await
            .map_err(backend("reached"))?;
        bring_up_to_date(&pool).await?;
        Ok(Self {
            pool,
            dialect: &POSTGRESQL,
            answers: None,
        })
    }
}

/// One process at a time changes the schema. Where it is as it should be, that
/// is only looked at: whoever is held up while it has the lock for changes
/// keeps nobody from starting.
async fn bring_up_to_date(pool: &AnyPool) -> Result<(), StoreError> {
    let mut migrations = sqlx::migrate!("migrations/postgresql");
    let sql = "SELECT count(*) FROM _sqlx_migrations WHERE success";
    let done: Option<i64> = sqlx::query_scalar(sql).fetch_one(pool).await.ok();
    let all = i64::try_from(migrations.iter().count()).ok();
    migrations.set_locking(done != all);
    accept_newer(pool, &mut migrations).await;
    migrations.run(pool).await.map_err(migrated)
}
