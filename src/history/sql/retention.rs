//! Forgetting what is old.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row};

use super::{SqlHistory, backend, parse_id};
use crate::{domain::ids::RunId, history::retention::Retention, runner::store::StoreError};

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
    ORDER BY old.requested_at, old.id LIMIT $2) RETURNING id";

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
    async fn forget(&self, before: Timestamp, limit: u32) -> Result<Vec<RunId>, StoreError> {
        let before = before.as_microsecond();
        let limit = i64::from(limit);
        let forgotten = async {
            let forgotten = sqlx::query(OLD_RUNS)
                .bind(before)
                .bind(limit)
                .fetch_all(&self.pool)
                .await;
            forgotten.map_err(backend("written"))
        };
        let rows = self.within("written", forgotten).await?;
        self.execute(|| sqlx::query(OLD_FIRES).bind(before).bind(limit))
            .await?;
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
        rows.iter()
            .map(|row| {
                let id: String = row.try_get("id").map_err(backend("read"))?;
                parse_id(&id)
            })
            .collect()
    }
}
