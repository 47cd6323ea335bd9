//! Fire times.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Row, Sqlite, Transaction, sqlite::SqliteRow};

use super::{SqliteHistory, backend, parse_id};
use crate::{
    domain::record::RunRecord,
    history::agenda::{Agenda, Fire, FireFilter, Outcome},
    runner::store::StoreError,
    schedule::Missed,
};

#[async_trait]
impl Agenda for SqliteHistory {
    async fn settled(
        &self,
        drills: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let mut transaction = self.begin_write().await?;
        let mut settled = BTreeMap::new();
        for (drill, calendar) in drills {
            let sql = "INSERT INTO schedules AS known (drill, settled, calendar) VALUES (?, ?, ?) \
                       ON CONFLICT (drill) DO UPDATE SET calendar = excluded.calendar, \
                       settled = CASE WHEN known.calendar = excluded.calendar THEN known.settled \
                       ELSE max(known.settled, excluded.settled) END RETURNING settled";
            let row = sqlx::query(sql)
                .bind(drill)
                .bind(now.as_microsecond())
                .bind(calendar)
                .fetch_one(&mut *transaction)
                .await
                .map_err(backend("written"))?;
            settled.insert(drill.clone(), time(drill, &row, "settled")?);
        }
        transaction.commit().await.map_err(backend("written"))?;
        Ok(settled)
    }

    async fn settle(
        &self,
        drill: &str,
        passed: &[Missed],
        older: u64,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        let mut older = i64::try_from(older).unwrap_or(i64::MAX);
        for missed in passed {
            let sql = "INSERT INTO fires (drill, scheduled_for, settled_at, outcome, older) \
                       VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
            sqlx::query(sql)
                .bind(drill)
                .bind(missed.scheduled_for.as_microsecond())
                .bind(now.as_microsecond())
                .bind(missed.reason.name())
                .bind(std::mem::take(&mut older))
                .execute(&mut *transaction)
                .await
                .map_err(backend("written"))?;
        }
        move_on(&mut transaction, drill, until).await?;
        transaction.commit().await.map_err(backend("written"))
    }

    async fn fires(&self, filter: &FireFilter) -> Result<Vec<Fire>, StoreError> {
        let sql = "SELECT drill, scheduled_for, outcome, older, run_id FROM fires \
                   WHERE ?1 IS NULL OR drill = ?1 ORDER BY scheduled_for DESC, drill LIMIT ?2";
        let rows = sqlx::query(sql)
            .bind(&filter.drill)
            .bind(filter.limit)
            .fetch_all(&self.pool)
            .await
            .map_err(backend("read"))?;
        rows.iter().map(fire).collect()
    }
}

/// Notes that the run of `record` is that of its fire time.
pub(super) async fn started(
    transaction: &mut Transaction<'_, Sqlite>,
    record: &RunRecord,
) -> Result<(), StoreError> {
    let Some(scheduled_for) = record.scheduled_for else {
        return Ok(());
    };
    let sql = "INSERT INTO fires (drill, scheduled_for, settled_at, outcome, run_id) \
               VALUES (?, ?, ?, 'started', ?) ON CONFLICT DO NOTHING";
    let noted = sqlx::query(sql)
        .bind(&record.drill)
        .bind(scheduled_for.as_microsecond())
        .bind(record.requested_at.as_microsecond())
        .bind(record.id.to_string())
        .execute(&mut **transaction)
        .await
        .map_err(backend("written"))?;
    if noted.rows_affected() == 0 {
        return Err(StoreError::Fired {
            drill: record.drill.clone(),
            scheduled_for,
        });
    }
    move_on(transaction, &record.drill, scheduled_for).await
}

async fn move_on(
    transaction: &mut Transaction<'_, Sqlite>,
    drill: &str,
    until: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO schedules (drill, settled) VALUES (?, ?) ON CONFLICT (drill) \
               DO UPDATE SET settled = max(settled, excluded.settled)";
    sqlx::query(sql)
        .bind(drill)
        .bind(until.as_microsecond())
        .execute(&mut **transaction)
        .await
        .map_err(backend("written"))?;
    Ok(())
}

fn fire(row: &SqliteRow) -> Result<Fire, StoreError> {
    let drill: String = row.try_get("drill").map_err(backend("read"))?;
    let name: String = row.try_get("outcome").map_err(backend("read"))?;
    let run: Option<String> = row.try_get("run_id").map_err(backend("read"))?;
    let run = run.map(|run| parse_id(&run)).transpose()?;
    let outcome = Outcome::read(&name, run).ok_or_else(|| odd(&drill, "outcome"))?;
    let older: i64 = row.try_get("older").map_err(backend("read"))?;
    Ok(Fire {
        scheduled_for: time(&drill, row, "scheduled_for")?,
        outcome,
        older: u64::try_from(older).map_err(|_| odd(&drill, "older"))?,
        drill,
    })
}

fn time(drill: &str, row: &SqliteRow, column: &str) -> Result<Timestamp, StoreError> {
    let micros: i64 = row.try_get(column).map_err(backend("read"))?;
    Timestamp::from_microsecond(micros).map_err(|_| odd(drill, column))
}

fn odd(drill: &str, column: &str) -> StoreError {
    StoreError::Inconsistent {
        run: format!("times of drill {drill}"),
        what: format!("column {column}"),
    }
}
