//! Who is still to be told of a run's end.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row};

use super::{SqlHistory, backend, parse_id};
use crate::{
    domain::ids::RunId,
    history::outbox::{Notice, Outbox},
    runner::store::StoreError,
};

#[async_trait]
impl Outbox for SqlHistory {
    async fn post(&self, run: RunId, target: &str) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO notices (run_id, target, due_at) VALUES ($1, $2, {}) \
             ON CONFLICT DO NOTHING",
            self.dialect.now
        );
        let noted = self.execute(|| {
            sqlx::query(AssertSqlSafe(sql.clone()))
                .bind(run.to_string())
                .bind(target.to_owned())
        });
        noted.await.map(drop)
    }

    async fn take(&self, lease: Duration, limit: u32) -> Result<Vec<Notice>, StoreError> {
        let now = self.dialect.now;
        // The condition on the outside is looked at anew where another process
        // has changed a row meanwhile.
        let sql = format!(
            "UPDATE notices SET due_at = {now} + $1, tries = tries + 1 \
             WHERE (run_id, target) IN (SELECT run_id, target FROM notices \
             WHERE due_at <= {now} ORDER BY due_at LIMIT $2) \
             AND due_at <= {now} RETURNING run_id, target, tries"
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
        rows.iter()
            .map(|row| {
                let run: String = row.try_get("run_id").map_err(backend("read"))?;
                let tries: i64 = row.try_get("tries").map_err(backend("read"))?;
                Ok(Notice {
                    run: parse_id(&run)?,
                    target: row.try_get("target").map_err(backend("read"))?,
                    tries: u32::try_from(tries).unwrap_or(u32::MAX),
                })
            })
            .collect()
    }

    async fn put_off(&self, notice: &Notice, by: Option<Duration>) -> Result<(), StoreError> {
        let until = match by {
            Some(by) => format!("{} + {}", self.dialect.now, micros(by)),
            None => "NULL".to_owned(),
        };
        let sql = format!(
            "UPDATE notices SET due_at = {until} WHERE run_id = $1 AND target = $2 AND tries = $3"
        );
        let put = self.execute(|| {
            sqlx::query(AssertSqlSafe(sql.clone()))
                .bind(notice.run.to_string())
                .bind(notice.target.clone())
                .bind(i64::from(notice.tries))
        });
        put.await.map(drop)
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
