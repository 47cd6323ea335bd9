//! How the record of a run is kept: as text while it goes on, packed once it has
//! ended.

use std::time::Duration;

use serde::de::DeserializeOwned;
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

use super::{SqlHistory, Writing, backend, packed, to_json};
use crate::{
    domain::{ids::RunId, record::RunRecord, summary::RunSummary},
    runner::store::StoreError,
};

/// A record as it lies in its row.
pub(super) struct Kept {
    pub(super) record: String,
    pub(super) packed: Option<Vec<u8>>,
}

/// That of `record`.
pub(super) fn kept(record: &RunRecord, may_pack: bool) -> Result<Kept, StoreError> {
    let text = to_json(record.id, record)?;
    if !may_pack || record.finished_at.is_none() {
        let (record, packed) = (text, None);
        return Ok(Kept { record, packed });
    }
    let packed = packed::pack(&text).map_err(|error| odd(record.id, "written", &error))?;
    Ok(Kept {
        record: String::new(),
        packed: Some(packed),
    })
}

/// That of a row with its `id`, `record` and `packed`.
pub(super) fn record(row: &AnyRow) -> Result<RunRecord, StoreError> {
    read(row)
}

/// The part of it that a list tells.
pub(super) fn summary(row: &AnyRow) -> Result<RunSummary, StoreError> {
    read(row)
}

fn read<T: DeserializeOwned>(row: &AnyRow) -> Result<T, StoreError> {
    let id: String = row.try_get("id").map_err(backend("read"))?;
    let packed: Option<Vec<u8>> = row.try_get("packed").map_err(backend("read"))?;
    let text = match packed {
        Some(packed) => packed::unpack(&packed).map_err(|error| odd(&id, "read", &error))?,
        None => row.try_get("record").map_err(backend("read"))?,
    };
    serde_json::from_str(&text).map_err(|error| odd(&id, "read", &error))
}

fn odd(run: impl ToString, doing: &str, error: &dyn std::error::Error) -> StoreError {
    StoreError::Inconsistent {
        run: run.to_string(),
        what: format!("its record cannot be {doing}: {error}"),
    }
}

/// The change of the schema since which programs read packed records.
const PACKED: i64 = 13;

/// How long nothing may be heard of a process that may still live.
const SILENT: Duration = Duration::from_hours(1);

impl SqlHistory {
    /// Whether records may be packed: nobody lives who could not read them. From
    /// then on a program that cannot is refused when it starts. One that lives may
    /// have been silent for a while, as when the database was away: so it counts
    /// for much longer than its claims do.
    pub(super) async fn may_pack(&self, transaction: &mut Writing<'_>) -> Result<bool, StoreError> {
        let asked = sqlx::query("SELECT 1 FROM schema_needs WHERE known >= $1")
            .bind(PACKED)
            .fetch_optional(&mut **transaction)
            .await;
        if asked.map_err(backend("read"))?.is_some() {
            return Ok(true);
        }
        let now = self.dialect.now;
        let sql = format!(
            "UPDATE schema_needs SET known = $1 WHERE known < $1 AND NOT EXISTS \
             (SELECT 1 FROM replicas WHERE knows < $1 AND expires_at >= {now} - {})",
            SILENT.as_micros()
        );
        let raised = sqlx::query(AssertSqlSafe(sql))
            .bind(PACKED)
            .execute(&mut **transaction)
            .await;
        Ok(raised.map_err(backend("written"))?.rows_affected() > 0)
    }
}

/// What was only there to end the run after a death: its journal and its ledger.
/// All that is to be told of a run is in its record.
pub(super) async fn clear(transaction: &mut Writing<'_>, run: RunId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM journal WHERE run_id = $1",
        "DELETE FROM ledger WHERE run_id = $1",
    ] {
        let cleared = sqlx::query(sql)
            .bind(run.to_string())
            .execute(&mut **transaction)
            .await;
        cleared.map_err(backend("written"))?;
    }
    Ok(())
}
