//! Who is still to be told of a run's end.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::Row;

use super::{SqlHistory, backend, parse_id};
use crate::{
    domain::ids::RunId,
    history::outbox::{Notice, Outbox},
    runner::store::StoreError,
};

/// The condition on the outside is looked at anew where another process has
/// changed a row meanwhile.
const TAKE: &str = "UPDATE notices SET due_at = $2, tries = tries + 1 \
    WHERE (run_id, target) IN (SELECT run_id, target FROM notices WHERE due_at <= $1 \
    ORDER BY due_at LIMIT $3) AND due_at <= $1 RETURNING run_id, target, tries";

#[async_trait]
impl Outbox for SqlHistory {
    async fn post(&self, run: RunId, target: &str, at: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO notices (run_id, target, due_at) VALUES ($1, $2, $3) \
                   ON CONFLICT DO NOTHING";
        let noted = self.execute(|| {
            sqlx::query(sql)
                .bind(run.to_string())
                .bind(target.to_owned())
                .bind(at.as_microsecond())
        });
        noted.await.map(drop)
    }

    async fn take(
        &self,
        now: Timestamp,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<Notice>, StoreError> {
        let taken = async {
            let taken = sqlx::query(TAKE)
                .bind(now.as_microsecond())
                .bind(again.as_microsecond())
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

    async fn put_off(&self, notice: &Notice, until: Option<Timestamp>) -> Result<(), StoreError> {
        let sql = "UPDATE notices SET due_at = $3 WHERE run_id = $1 AND target = $2";
        let put = self.execute(|| {
            sqlx::query(sql)
                .bind(notice.run.to_string())
                .bind(notice.target.clone())
                .bind(until.map(Timestamp::as_microsecond))
        });
        put.await.map(drop)
    }
}
