//! Runs that are wanted.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

use super::{
    AT_ONCE, SqlHistory, Writing, asked::Asked, backend, from_json, parse_id, records, to_json,
};
use crate::{
    domain::{
        ids::{DrillName, RunId},
        record::RunRecord,
    },
    history::requests::{Requests, Wanted},
    runner::store::StoreError,
};

/// How long to try to take back what was asked for in vain.
const PATIENCE: Duration = Duration::from_secs(1);

const REQUESTS: &str = "SELECT run_id, drill, request_key, overrides FROM requests";

#[async_trait]
impl Requests for SqlHistory {
    async fn ask(&self, wanted: &Wanted) -> Result<(RunId, String), StoreError> {
        let sql = format!(
            "INSERT INTO requests (run_id, drill, request_key, overrides, requested_at) \
             VALUES ($1, $2, $3, $4, {}) ON CONFLICT DO NOTHING",
            self.dialect.now
        );
        let insert = sqlx::query(AssertSqlSafe(sql))
            .bind(wanted.run.to_string())
            .bind(wanted.drill.to_string())
            .bind(wanted.key.clone())
            .bind(to_json(wanted.run, &wanted.overrides)?);
        // Not tried again: who asks waits for it, and all drills of the service
        // wait meanwhile.
        match self.once(insert).await {
            Ok(noted) => self.stands_for(wanted, noted > 0).await,
            Err(error) => {
                // Who is told that it cannot be done is not to have it done all the same;
                // but a history that does not answer is not waited for once more. What is
                // noted stays: somebody else may have been told of it by the same key.
                let withdrawn = self.withdraw(wanted.run);
                let _ = tokio::time::timeout(PATIENCE, withdrawn).await;
                Err(error)
            }
        }
    }

    async fn asked(
        &self,
        ago: Duration,
        after: Option<RunId>,
        limit: u32,
    ) -> Result<Vec<Wanted>, StoreError> {
        let now = self.dialect.now;
        let asked = Asked::new(&format!("{REQUESTS} WHERE requested_at <= {now} - "));
        let asked = asked.bind(i64::try_from(ago.as_micros()).unwrap_or(i64::MAX));
        // Ids of runs begin with the time.
        let after = after.map(|after| after.to_string()).unwrap_or_default();
        let asked = asked.push(" AND run_id > ").bind(after);
        let asked = asked.push(" ORDER BY run_id LIMIT ");
        let rows = self.all(asked.bind(i64::from(limit))).await?;
        rows.iter().map(wanted).collect()
    }

    async fn request_of(&self, run: RunId) -> Result<Option<Wanted>, StoreError> {
        let asked = Asked::new(&format!("{REQUESTS} WHERE run_id = "));
        let rows = self.all(asked.bind(run.to_string())).await?;
        rows.first().map(wanted).transpose()
    }

    async fn is_over(&self, run: RunId) -> Result<bool, StoreError> {
        let asked = Asked::new("SELECT 1 FROM runs WHERE finished_at IS NOT NULL AND id = ");
        let rows = self.all(asked.bind(run.to_string())).await?;
        Ok(!rows.is_empty())
    }

    async fn holding(&self, runs: &[RunId]) -> Result<HashSet<RunId>, StoreError> {
        let mut holding = HashSet::new();
        for some in runs.chunks(AT_ONCE) {
            let asked = Asked::new("WITH asked (run) AS (VALUES ");
            let asked = asked.rows(some, |asked, run| asked.bind(run.to_string()));
            let asked = asked.push(
                ") SELECT id, record, packed FROM asked JOIN runs ON id = run \
                 WHERE finished_at IS NULL",
            );
            for row in self.all(asked).await? {
                // What a newer version wrote may not be understood here: it counts.
                if records::record(&row).is_ok_and(|record| !record.takes_room()) {
                    continue;
                }
                let id: String = row.try_get("id").map_err(backend("read"))?;
                holding.insert(parse_id(&id)?);
            }
        }
        Ok(holding)
    }

    async fn withdraw(&self, run: RunId) -> Result<bool, StoreError> {
        let sql = "DELETE FROM requests WHERE run_id = $1";
        let gone = self.once(sqlx::query(sql).bind(run.to_string()));
        Ok(gone.await? > 0)
    }
}

impl SqlHistory {
    /// Which run and drill a request stands for that was made, or met another one
    /// with its key.
    async fn stands_for(
        &self,
        wanted: &Wanted,
        noted: bool,
    ) -> Result<(RunId, String), StoreError> {
        // One whose run begins in this very moment is not there any more, and
        // its run is: that is looked for last.
        let sql = "SELECT run_id, drill FROM requests WHERE run_id = ";
        let same = Asked::new(sql).bind(wanted.run.to_string());
        let same = same.push(" OR request_key = ").bind(wanted.key.clone());
        let sql = "SELECT id AS run_id, drill FROM runs WHERE request_key = ";
        let begun = Asked::new(sql).bind(wanted.key.clone());
        let (same, begun) = (self.all(same).await?, self.all(begun).await?);
        let Some(row) = begun.first().or(same.first()) else {
            // The one with the same key was taken back in between.
            let gone = StoreError::Unreachable {
                doing: "written",
                source: "another request with the same key was just taken back".into(),
            };
            let own = (wanted.run, wanted.drill.to_string());
            return if noted { Ok(own) } else { Err(gone) };
        };
        let run = parse(row, "run_id")?;
        if run != wanted.run {
            self.withdraw(wanted.run).await?;
        }
        Ok((run, column(row, "drill")?))
    }
}

/// A run that has begun is wanted no more.
///
/// # Errors
/// `Requested` where another process has begun it: both have read the request.
/// `Cancelled` where it was promised and is not wanted any more.
pub(super) async fn fulfilled(
    transaction: &mut Writing<'_>,
    record: &RunRecord,
    (owner, promised): (&str, bool),
) -> Result<(), StoreError> {
    if record.scheduled_for.is_some() {
        return Ok(());
    }
    // Two that begin it at once meet here: the second one waits for the first.
    let wanted = sqlx::query("DELETE FROM requests WHERE run_id = $1")
        .bind(record.id.to_string())
        .execute(&mut **transaction)
        .await
        .map_err(backend("written"))?;
    let begun = sqlx::query("SELECT owner FROM runs WHERE id = $1")
        .bind(record.id.to_string())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(backend("read"))?;
    let by = begun.map(|row| column(&row, "owner")).transpose()?;
    match by {
        Some(by) if by != owner => Err(StoreError::Requested { run: record.id }),
        None if promised && wanted.rows_affected() == 0 => Err(StoreError::Cancelled),
        _ => Ok(()),
    }
}

fn wanted(row: &AnyRow) -> Result<Wanted, StoreError> {
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
        overrides: from_json(&run.to_string(), row, "overrides")?,
    })
}

fn column(row: &AnyRow, name: &str) -> Result<String, StoreError> {
    row.try_get(name).map_err(backend("read"))
}

fn parse(row: &AnyRow, name: &str) -> Result<RunId, StoreError> {
    parse_id(&column(row, name)?)
}
