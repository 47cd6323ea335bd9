//! A history in a database: one SQLite file, or a PostgreSQL server that several
//! processes share.
//!
//! The statements are the same for both; a [`Dialect`] has what is not.

mod agenda;
mod asked;
mod faults;
mod files;
mod known;
mod outbox;
pub mod packed;
mod patience;
mod postgresql;
mod queries;
mod records;
mod replicas;
mod requests;
mod retention;
mod roots;
mod runs;
mod schema;
mod sqlite;
mod tallies;
mod trend;

use std::time::Duration;

use prometheus::HistogramVec;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{
    Any, AnyPool, Row, Transaction,
    any::{AnyArguments, AnyRow},
    query::Query,
};

use self::{asked::Asked, faults::backend, patience::Patience};
use crate::{domain::ids::RunId, runner::store::StoreError};

/// A history in a database.
#[derive(Debug, Clone)]
pub struct SqlHistory {
    pool: AnyPool,
    dialect: &'static Dialect,
    /// How long answers take, in seconds, by what is done.
    answers: Option<HistogramVec>,
}

/// In what the two databases differ.
#[derive(Debug)]
struct Dialect {
    /// Begins a transaction that writes.
    begin: &'static str,
    /// The database's own time, in microseconds since 1970.
    now: &'static str,
    /// Waits until no other transaction counts what is taken, where beginning
    /// one does not do that already.
    turn: Option<&'static str>,
    /// How long to try again what may be possible soon.
    patience: Duration,
    /// How long to wait for an answer: a server that has vanished gives none.
    answer: Duration,
}

/// So many lines are asked for, or written, by one statement.
const AT_ONCE: usize = 500;

type Writing<'a> = Transaction<'a, Any>;

impl SqlHistory {
    /// The same, with a histogram of how long answers take, in seconds; its
    /// label says `read` or `write`.
    #[must_use]
    pub fn timed(self, answers: HistogramVec) -> Self {
        let answers = Some(answers);
        Self { answers, ..self }
    }

    /// Begins a transaction that writes.
    async fn begin_write(&self) -> Result<Writing<'static>, StoreError> {
        let begun = match self.pool.begin_with(self.dialect.begin).await {
            // On a full disk SQLite ends a transaction by itself, which the
            // driver does not learn: a new connection is without that past.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                let stuck = self.pool.acquire().await.map_err(backend("written"))?;
                stuck.close().await.map_err(backend("written"))?;
                self.pool.begin_with(self.dialect.begin).await
            }
            begun => begun,
        };
        begun.map_err(backend("written"))
    }

    /// Does one statement that may be done twice.
    async fn execute(
        &self,
        statement: impl Fn() -> Query<'static, Any, AnyArguments> + Send + Sync,
    ) -> Result<u64, StoreError> {
        let mut patience = self.patience();
        loop {
            match self.once(statement()).await {
                Err(error) if patience.lasts(&error).await => {}
                done => return done,
            }
        }
    }

    /// Does one statement, and does not try again.
    async fn once(&self, statement: Query<'static, Any, AnyArguments>) -> Result<u64, StoreError> {
        let done = async {
            let done = statement.execute(&self.pool).await;
            done.map_err(backend("written"))
        };
        let done = self.within("written", done).await?;
        Ok(done.rows_affected())
    }

    /// Does what may take part in a transaction in one of its own, and does not try
    /// again.
    async fn put(&self, asked: Asked) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = self.begin_write().await?;
            asked.within(&mut transaction).await?;
            transaction.commit().await.map_err(backend("written"))
        };
        self.within("written", work).await
    }

    /// Does not wait for ever.
    async fn within<T>(
        &self,
        doing: &'static str,
        work: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let _timer = self.answers.as_ref().map(|answers| {
            let operation = if doing == "read" { "read" } else { "write" };
            answers.with_label_values(&[operation]).start_timer()
        });
        let limit = self.dialect.answer;
        let done = tokio::time::timeout(limit, work).await;
        done.unwrap_or_else(|_| {
            let source = format!("no answer within {} s", limit.as_secs()).into();
            Err(StoreError::Unreachable { doing, source })
        })
    }

    fn patience(&self) -> Patience {
        Patience::new(self.dialect.patience)
    }
}

fn to_json<T: Serialize>(run: RunId, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Inconsistent {
        run: run.to_string(),
        what: error.to_string(),
    })
}

fn from_json<T: DeserializeOwned>(run: &str, row: &AnyRow, column: &str) -> Result<T, StoreError> {
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
