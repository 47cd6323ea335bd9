//! Who is still to be told of a run's end, or of what happened in a period.
//! Each of the two kinds of notices has a table of its own.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Any, AssertSqlSafe, Row, any::AnyArguments, any::AnyRow, query::Query};

use super::{SqlHistory, backend, parse_id};
use crate::{
    history::{
        Period,
        outbox::{Notice, Outbox, Subject},
    },
    runner::store::StoreError,
};

/// Where notices of one kind are.
struct Table {
    name: &'static str,
    /// What tells them apart.
    key: &'static str,
    /// Its values in a statement, which come first.
    values: &'static str,
    /// What one of them is about.
    subject: fn(&AnyRow) -> Result<Subject, StoreError>,
}

const RUNS: Table = Table {
    name: "notices",
    key: "target, run_id",
    values: "$1, $2",
    subject: of_run,
};

const PERIODS: Table = Table {
    name: "digests",
    key: "target, since, until",
    values: "$1, $2, $3",
    subject: of_period,
};

#[async_trait]
impl Outbox for SqlHistory {
    async fn post(&self, subject: Subject, target: &str, wait: Duration) -> Result<(), StoreError> {
        let Table {
            name, key, values, ..
        } = table(subject);
        let sql = format!(
            "INSERT INTO {name} ({key}, due_at) VALUES ({values}, {} + {}) ON CONFLICT DO NOTHING",
            self.dialect.now,
            micros(wait)
        );
        let noted = self.execute(|| keyed(&sql, subject, target));
        noted.await.map(drop)
    }

    async fn take(&self, lease: Duration, limit: u32) -> Result<Vec<Notice>, StoreError> {
        let mut taken = self.take_of(&RUNS, lease, limit).await?;
        let left = limit.saturating_sub(u32::try_from(taken.len()).unwrap_or(limit));
        taken.extend(self.take_of(&PERIODS, lease, left).await?);
        Ok(taken)
    }

    async fn put_off(&self, notice: &Notice, by: Option<Duration>) -> Result<(), StoreError> {
        let until = match by {
            Some(by) => format!("{} + {}", self.dialect.now, micros(by)),
            None => "NULL".to_owned(),
        };
        let Table {
            name, key, values, ..
        } = table(notice.subject);
        let sql = format!(
            "UPDATE {name} SET due_at = {until} WHERE ({key}) = ({values}) AND tries = {}",
            notice.tries
        );
        let put = self.execute(|| keyed(&sql, notice.subject, &notice.target));
        put.await.map(drop)
    }
}

impl SqlHistory {
    async fn take_of(
        &self,
        table: &Table,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Notice>, StoreError> {
        let now = self.dialect.now;
        let Table { name, key, .. } = table;
        // The condition on the outside is looked at anew where another process
        // has changed a row meanwhile.
        let sql = format!(
            "UPDATE {name} SET due_at = {now} + $1, tries = tries + 1 \
             WHERE ({key}) IN (SELECT {key} FROM {name} \
             WHERE due_at <= {now} ORDER BY due_at LIMIT $2) \
             AND due_at <= {now} RETURNING {key}, tries"
        );
        let taken = async {
            let taken = sqlx::query(AssertSqlSafe(sql))
                .bind(micros(lease))
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await;
            taken.map_err(backend("written"))
        };
        let rows = self.within("written", taken).await?;
        rows.iter().map(|row| notice(table, row)).collect()
    }
}

fn table(subject: Subject) -> &'static Table {
    match subject {
        Subject::Run(_) => &RUNS,
        Subject::Period(_) => &PERIODS,
    }
}

/// A statement about one notice.
fn keyed(sql: &str, subject: Subject, target: &str) -> Query<'static, Any, AnyArguments> {
    let query = sqlx::query(AssertSqlSafe(sql.to_owned())).bind(target.to_owned());
    match subject {
        Subject::Run(run) => query.bind(run.to_string()),
        Subject::Period(Period { since, until }) => query
            .bind(since.as_microsecond())
            .bind(until.as_microsecond()),
    }
}

fn notice(table: &Table, row: &AnyRow) -> Result<Notice, StoreError> {
    let tries: i64 = row.try_get("tries").map_err(backend("read"))?;
    Ok(Notice {
        subject: (table.subject)(row)?,
        target: row.try_get("target").map_err(backend("read"))?,
        tries: u32::try_from(tries).unwrap_or(u32::MAX),
    })
}

fn of_run(row: &AnyRow) -> Result<Subject, StoreError> {
    let run: String = row.try_get("run_id").map_err(backend("read"))?;
    Ok(Subject::Run(parse_id(&run)?))
}

fn of_period(row: &AnyRow) -> Result<Subject, StoreError> {
    let time = |column: &str| {
        let micros: i64 = row.try_get(column).map_err(backend("read"))?;
        Timestamp::from_microsecond(micros).map_err(|error| StoreError::Inconsistent {
            run: "digests".to_owned(),
            what: format!("column {column}: {error}"),
        })
    };
    Ok(Subject::Period(Period {
        since: time("since")?,
        until: time("until")?,
    }))
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
