//! Who is alive, and who is to end what.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row};

use super::{SqlHistory, asked::Asked, backend, faults::json, parse_id, schema::KNOWN};
use crate::{
    domain::ids::RunId,
    history::replicas::Replicas,
    runner::{
        cancel::Why,
        store::{Owner, StoreError},
    },
};

#[async_trait]
impl Replicas for SqlHistory {
    async fn beat(&self, owner: &Owner, lasts: Duration) -> Result<Timestamp, StoreError> {
        let sql = format!(
            "INSERT INTO replicas (owner, expires_at, knows) VALUES ($1, {} + $2, $3) \
             ON CONFLICT (owner) DO UPDATE SET expires_at = excluded.expires_at \
             RETURNING expires_at",
            self.dialect.now
        );
        let lasts = i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX);
        let beaten = async {
            let beaten = sqlx::query(AssertSqlSafe(sql))
                .bind(name(owner)?)
                .bind(lasts)
                .bind(KNOWN)
                .fetch_one(&self.pool)
                .await;
            beaten.map_err(backend("written"))
        };
        let row = self.within("written", beaten).await?;
        let until: i64 = row.try_get("expires_at").map_err(backend("read"))?;
        Ok(Timestamp::from_microsecond(until.saturating_sub(lasts)).unwrap_or_default())
    }

    async fn leave(&self, owner: &Owner) -> Result<(), StoreError> {
        let left = async {
            let left = sqlx::query("UPDATE replicas SET expires_at = 0 WHERE owner = $1")
                .bind(name(owner)?)
                .execute(&self.pool)
                .await;
            left.map(drop).map_err(backend("written"))
        };
        self.within("written", left).await
    }

    async fn orphaned(&self) -> Result<bool, StoreError> {
        let sql = format!(
            "SELECT 1 FROM runs WHERE finished_at IS NULL AND NOT EXISTS (SELECT 1 FROM replicas \
             WHERE replicas.owner = runs.owner AND expires_at >= {}) LIMIT 1",
            self.dialect.now
        );
        Ok(!self.all(Asked::new(&sql)).await?.is_empty())
    }

    async fn alive(&self) -> Result<Vec<Owner>, StoreError> {
        let now = self.dialect.now;
        let sql = format!("SELECT owner FROM replicas WHERE expires_at >= {now}");
        let rows = self.all(Asked::new(&sql)).await?;
        rows.iter()
            .map(|row| {
                let text: String = row.try_get("owner").map_err(backend("read"))?;
                serde_json::from_str(&text).map_err(json("read"))
            })
            .collect()
    }

    async fn ask_to_end(&self, run: RunId, why: Why) -> Result<bool, StoreError> {
        let sql = "UPDATE runs SET end_asked = 1, \
                   end_replaced = CASE WHEN end_asked = 0 THEN $2 ELSE end_replaced END \
                   WHERE id = $1 AND verdict IS NULL \
                   AND ($2 = 0 OR EXISTS (SELECT 1 FROM fires WHERE run_id = runs.id))";
        let replaced = i64::from(why == Why::Replaced);
        let asked = self.execute(|| sqlx::query(sql).bind(run.to_string()).bind(replaced));
        Ok(asked.await? == 1)
    }

    async fn asked_to_end(&self, owner: &Owner) -> Result<Vec<(RunId, Why)>, StoreError> {
        let asked = Asked::new(
            "SELECT id, end_replaced FROM runs \
             WHERE verdict IS NULL AND end_asked = 1 AND owner = ",
        );
        let rows = self.all(asked.bind(name(owner)?)).await?;
        rows.iter()
            .map(|row| {
                let id: String = row.try_get("id").map_err(backend("read"))?;
                let replaced: i64 = row.try_get("end_replaced").map_err(backend("read"))?;
                let why = if replaced == 1 {
                    Why::Replaced
                } else {
                    Why::Asked
                };
                Ok((parse_id(&id)?, why))
            })
            .collect()
    }
}

/// As in `runs`.
fn name(owner: &Owner) -> Result<String, StoreError> {
    serde_json::to_string(owner).map_err(json("written"))
}
