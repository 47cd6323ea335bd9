//! Forgetting what is old.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row};

use super::{SqlHistory, asked::Asked, backend};
use crate::{
    history::retention::{Forgotten, Retention},
    runner::store::StoreError,
};

/// Runs that ended and are counted, but for the newest of a drill and the newest
/// that passed.
const OLD_RUNS: &str = "\
    DELETE FROM runs WHERE id IN (SELECT old.id FROM runs AS old \
    WHERE old.requested_at < $1 AND old.finished_at IS NOT NULL AND old.proof IS NOT NULL \
    AND EXISTS (SELECT 1 FROM runs AS newer WHERE newer.drill = old.drill \
        AND (newer.requested_at, newer.id) > (old.requested_at, old.id)) \
    AND (old.verdict <> 'passed' OR old.negative_control = 1 \
        OR EXISTS (SELECT 1 FROM runs AS newer WHERE newer.drill = old.drill \
            AND (newer.requested_at, newer.id) > (old.requested_at, old.id) \
            AND newer.verdict = 'passed' AND newer.negative_control = 0)) \
    ORDER BY old.requested_at, old.id LIMIT $2)";

const OLD_FIRES: &str = "\
    DELETE FROM fires WHERE (drill, scheduled_for) IN (SELECT drill, scheduled_for FROM fires \
    WHERE scheduled_for < $1 AND run_id IS NULL ORDER BY scheduled_for LIMIT $2)";

/// Of each target the newest digest stays, or a period would be told again, and
/// any that a newer one has begun in: its calendar may be another one by now.
const OLD_DIGESTS: &str = "\
    DELETE FROM digests AS old WHERE old.until < $1 AND EXISTS (SELECT 1 FROM digests AS newer \
    WHERE newer.target = old.target AND newer.until > old.until AND newer.since >= old.until \
    AND newer.since >= $1)";

#[async_trait]
impl Retention for SqlHistory {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        let sql = format!("SELECT {} AS now", self.dialect.now);
        let rows = self.all(Asked::new(&sql)).await?;
        let now = rows.first().map(|row| row.try_get("now"));
        let now: i64 = now.transpose().map_err(backend("read"))?.unwrap_or(0);
        Ok(Timestamp::from_microsecond(now).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    async fn forget(&self, before: Timestamp, limit: u32) -> Result<Forgotten, StoreError> {
        let before = before.as_microsecond();
        let limit = i64::from(limit);
        let old = |sql| move || sqlx::query(sql).bind(before).bind(limit);
        let runs = self.execute(old(OLD_RUNS)).await?;
        let fires = self.execute(old(OLD_FIRES)).await?;
        self.execute(|| sqlx::query(OLD_DIGESTS).bind(before))
            .await?;
        // Who owns something is still to be judged by them.
        let sql = format!(
            "DELETE FROM replicas WHERE expires_at < {} - 3600000000 AND NOT EXISTS \
             (SELECT 1 FROM runs WHERE finished_at IS NULL AND runs.owner = replicas.owner)",
            self.dialect.now
        );
        self.execute(|| sqlx::query(AssertSqlSafe(sql.clone())))
            .await?;
        Ok(Forgotten {
            runs: usize::try_from(runs).unwrap_or(usize::MAX),
            fires: usize::try_from(fires).unwrap_or(usize::MAX),
        })
    }
}
