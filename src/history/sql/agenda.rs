//! Fire times.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};

use super::{SqlHistory, Writing, asked::Asked, backend, parse_id};
use crate::{
    domain::record::RunRecord,
    history::{
        Period,
        agenda::{Agenda, Fire, FireFilter, Outcome, Passed, Settlement},
    },
    runner::store::StoreError,
    schedule::Reason,
};

#[async_trait]
impl Agenda for SqlHistory {
    async fn settled(
        &self,
        drills: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        self.within("written", self.try_settled(drills, now)).await
    }

    async fn reached(&self, drill: &str) -> Result<Option<Timestamp>, StoreError> {
        let asked = Asked::new("SELECT settled FROM schedules WHERE drill = ");
        let rows = self.all(asked.bind(drill.to_owned())).await?;
        rows.first()
            .map(|row| time(drill, row, "settled"))
            .transpose()
    }

    async fn settle(&self, settlements: &[Settlement], now: Timestamp) -> Result<(), StoreError> {
        let settled = self.try_settle(settlements, now);
        self.within("written", settled).await
    }

    async fn fires(&self, filter: &FireFilter) -> Result<Vec<Fire>, StoreError> {
        let mut asked =
            Asked::new("SELECT drill, scheduled_for, outcome, older, run_id FROM fires");
        if let Some(drills) = &filter.drills {
            asked = asked.push(" WHERE ").of_drills(drills);
        }
        let asked = asked.push(" ORDER BY scheduled_for DESC, drill LIMIT ");
        let rows = self.all(asked.bind(i64::from(filter.limit))).await?;
        rows.iter().map(fire).collect()
    }

    async fn passed(&self, period: Period) -> Result<Vec<Passed>, StoreError> {
        let rows = self.all(passed(period)).await?;
        rows.iter().map(passed_of).collect()
    }
}

pub(super) fn passed(period: Period) -> Asked {
    let sql = "SELECT drill, outcome, CAST(sum(older + 1) AS BIGINT) AS fire_times FROM fires \
               WHERE outcome <> 'started' AND settled_at >= ";
    Asked::new(sql)
        .bind(period.since.as_microsecond())
        .push(" AND settled_at < ")
        .bind(period.until.as_microsecond())
        .push(" GROUP BY drill, outcome ORDER BY drill, outcome")
}

fn passed_of(row: &AnyRow) -> Result<Passed, StoreError> {
    let drill: String = row.try_get("drill").map_err(backend("read"))?;
    let name: String = row.try_get("outcome").map_err(backend("read"))?;
    let times: i64 = row.try_get("fire_times").map_err(backend("read"))?;
    Ok(Passed {
        reason: Reason::named(&name).ok_or_else(|| odd(&drill, "outcome"))?,
        fire_times: u64::try_from(times).map_err(|_| odd(&drill, "older"))?,
        drill,
    })
}

impl SqlHistory {
    async fn try_settled(
        &self,
        drills: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let mut transaction = self.begin_write().await?;
        let mut settled = BTreeMap::new();
        for (drill, calendar) in drills {
            let sql = "INSERT INTO schedules AS known (drill, settled, calendar) VALUES ($1, $2, $3) \
                       ON CONFLICT (drill) DO UPDATE SET calendar = excluded.calendar, \
                       settled = CASE WHEN known.calendar = excluded.calendar \
                       OR known.settled > excluded.settled THEN known.settled \
                       ELSE excluded.settled END RETURNING settled";
            let row = sqlx::query(sql)
                .bind(drill.to_owned())
                .bind(now.as_microsecond())
                .bind(calendar.clone())
                .fetch_one(&mut *transaction)
                .await
                .map_err(backend("written"))?;
            settled.insert(drill.clone(), time(drill, &row, "settled")?);
        }
        transaction.commit().await.map_err(backend("written"))?;
        Ok(settled)
    }

    async fn try_settle(
        &self,
        settlements: &[Settlement],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        for one in settlements {
            pass(&mut transaction, one, now).await?;
            move_on(&mut transaction, one.drill.as_str(), one.until).await?;
        }
        transaction.commit().await.map_err(backend("written"))
    }
}

/// Notes the fire times that pass.
async fn pass(
    transaction: &mut Writing<'_>,
    one: &Settlement,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut older = i64::try_from(one.older).unwrap_or(i64::MAX);
    for missed in &one.passed {
        let sql = "INSERT INTO fires (drill, scheduled_for, settled_at, outcome, older) \
                   VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        sqlx::query(sql)
            .bind(one.drill.to_string())
            .bind(missed.scheduled_for.as_microsecond())
            .bind(now.as_microsecond())
            .bind(missed.reason.name())
            .bind(std::mem::take(&mut older))
            .execute(&mut **transaction)
            .await
            .map_err(backend("written"))?;
    }
    Ok(())
}

/// What became of the fire time of `record`, if that is known: the run, if it
/// has one.
pub(super) async fn fired(
    transaction: &mut Writing<'_>,
    record: &RunRecord,
) -> Result<Option<Option<String>>, StoreError> {
    let Some(scheduled_for) = record.scheduled_for else {
        return Ok(None);
    };
    let sql = "SELECT run_id FROM fires WHERE drill = $1 AND scheduled_for = $2";
    let found = sqlx::query(sql)
        .bind(record.drill.clone())
        .bind(scheduled_for.as_microsecond())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(backend("read"))?;
    found
        .map(|row| row.try_get("run_id").map_err(backend("read")))
        .transpose()
}

/// Notes that the run of `record` is that of its fire time.
pub(super) async fn started(
    transaction: &mut Writing<'_>,
    record: &RunRecord,
) -> Result<(), StoreError> {
    let Some(scheduled_for) = record.scheduled_for else {
        return Ok(());
    };
    let sql = "INSERT INTO fires (drill, scheduled_for, settled_at, outcome, run_id) \
               VALUES ($1, $2, $3, 'started', $4)";
    sqlx::query(sql)
        .bind(record.drill.clone())
        .bind(scheduled_for.as_microsecond())
        .bind(record.requested_at.as_microsecond())
        .bind(record.id.to_string())
        .execute(&mut **transaction)
        .await
        .map_err(backend("written"))?;
    move_on(transaction, &record.drill, scheduled_for).await
}

async fn move_on(
    transaction: &mut Writing<'_>,
    drill: &str,
    until: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO schedules AS known (drill, settled) VALUES ($1, $2) ON CONFLICT (drill) \
               DO UPDATE SET settled = excluded.settled WHERE known.settled < excluded.settled";
    sqlx::query(sql)
        .bind(drill.to_owned())
        .bind(until.as_microsecond())
        .execute(&mut **transaction)
        .await
        .map_err(backend("written"))?;
    Ok(())
}

fn fire(row: &AnyRow) -> Result<Fire, StoreError> {
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

fn time(drill: &str, row: &AnyRow, column: &str) -> Result<Timestamp, StoreError> {
    let micros: i64 = row.try_get(column).map_err(backend("read"))?;
    Timestamp::from_microsecond(micros).map_err(|_| odd(drill, column))
}

fn odd(drill: &str, column: &str) -> StoreError {
    StoreError::Inconsistent {
        run: format!("times of drill {drill}"),
        what: format!("column {column}"),
    }
}
