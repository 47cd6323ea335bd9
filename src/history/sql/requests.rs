//! Runs that are wanted.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};

use super::{SqlHistory, Writing, asked::Asked, backend, parse_id};
use crate::{
    domain::{
        ids::{DrillName, RunId},
        record::RunRecord,
    },
    history::requests::{Requests, Wanted},
    runner::store::StoreError,
};

#[async_trait]
impl Requests for SqlHistory {
    async fn ask(&self, wanted: &Wanted) -> Result<(RunId, String), StoreError> {
        let sql = "INSERT INTO requests (run_id, drill, request_key, requested_at) \
                   VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        self.execute(|| {
            sqlx::query(sql)
                .bind(wanted.run.to_string())
                .bind(wanted.drill.to_string())
                .bind(wanted.key.clone())
                .bind(wanted.at.as_microsecond())
        })
        .await?;
        // One whose run begins in this very moment is not there any more, and
        // its run is: that is looked for last.
        let sql = "SELECT run_id, drill FROM requests WHERE run_id = ";
        let same = Asked::new(sql).bind(wanted.run.to_string());
        let same = same.push(" OR request_key = ").bind(wanted.key.clone());
        let sql = "SELECT id AS run_id, drill FROM runs WHERE request_key = ";
        let begun = Asked::new(sql).bind(wanted.key.clone());
        let (same, begun) = (self.all(same).await?, self.all(begun).await?);
        match begun.first().or(same.first()) {
            Some(row) => Ok((parse(row, "run_id")?, column(row, "drill")?)),
            None => Ok((wanted.run, wanted.drill.to_string())),
        }
    }

    async fn asked(&self, before: Timestamp, limit: u32) -> Result<Vec<Wanted>, StoreError> {
        let sql = "SELECT run_id, drill, request_key, requested_at FROM requests \
                   WHERE requested_at < ";
        let asked = Asked::new(sql).bind(before.as_microsecond());
        let asked = asked.push(" ORDER BY requested_at, run_id LIMIT ");
        let rows = self.all(asked.bind(i64::from(limit))).await?;
        rows.iter().map(wanted).collect()
    }

    async fn is_wanted(&self, run: RunId) -> Result<bool, StoreError> {
        let asked = Asked::new("SELECT run_id FROM requests WHERE run_id = ");
        let rows = self.all(asked.bind(run.to_string())).await?;
        Ok(!rows.is_empty())
    }

    async fn withdraw(&self, run: RunId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM requests WHERE run_id = $1";
        let gone = self.execute(|| sqlx::query(sql).bind(run.to_string()));
        Ok(gone.await? > 0)
    }
}

/// A run that has begun is wanted no more.
///
/// # Errors
/// `Requested` where another process has begun it: both have read the request.
pub(super) async fn fulfilled(
    transaction: &mut Writing<'_>,
    record: &RunRecord,
    owner: &str,
) -> Result<(), StoreError> {
    if record.scheduled_for.is_some() {
        return Ok(());
    }
    let begun = sqlx::query("SELECT owner FROM runs WHERE id = $1")
        .bind(record.id.to_string())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(backend("read"))?;
    let by = begun.map(|row| row.try_get::<String, _>("owner").map_err(backend("read")));
    if by.transpose()?.is_some_and(|by| by != owner) {
        return Err(StoreError::Requested { run: record.id });
    }
    sqlx::query("DELETE FROM requests WHERE run_id = $1")
        .bind(record.id.to_string())
        .execute(&mut **transaction)
        .await
        .map(drop)
        .map_err(backend("written"))
}

fn wanted(row: &AnyRow) -> Result<Wanted, StoreError> {
    let at: i64 = row.try_get("requested_at").map_err(backend("read"))?;
    let run = parse(row, "run_id")?;
    let drill: Result<DrillName, _> = column(row, "drill")?.parse();
    let odd = |what: String| StoreError::Inconsistent {
        run: run.to_string(),
        what,
    };
    Ok(Wanted {
        run,
        drill: drill.map_err(|error| odd(error.to_string()))?,
        key: row.try_get("request_key").map_err(backend("read"))?,
        at: Timestamp::from_microsecond(at).map_err(|error| odd(error.to_string()))?,
    })
}

fn column(row: &AnyRow, name: &str) -> Result<String, StoreError> {
    row.try_get(name).map_err(backend("read"))
}

fn parse(row: &AnyRow, name: &str) -> Result<RunId, StoreError> {
    parse_id(&column(row, name)?)
}
