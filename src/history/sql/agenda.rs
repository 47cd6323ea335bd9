//! Fire times.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};

use super::{AT_ONCE, SqlHistory, Writing, asked::Asked, backend, parse_id};
use crate::{
    domain::{ids::DrillName, record::RunRecord},
    history::{
        Period,
        agenda::{AHEAD, Agenda, Fire, FireFilter, Outcome, Passed, Settlement, Why, is_ahead},
        retention::Retention as _,
    },
    runner::store::StoreError,
    schedule::{Missed, Reason},
};

#[async_trait]
impl Agenda for SqlHistory {
    async fn settled(
        &self,
        drills: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let settled = self.within("written", self.try_settled(drills, now));
        let mut settled = settled.await?;
        if settled.values().any(|at| is_ahead(*at, now)) {
            let latest = self.latest(now).await?;
            let ahead = settled.values_mut().filter(|at| **at > latest);
            ahead.for_each(|at| *at = now);
        }
        Ok(settled)
    }

    async fn is_still_to_come(
        &self,
        drills: &[DrillName],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if drills.is_empty() {
            return Ok(());
        }
        let latest = self.latest(now).await?.as_microsecond();
        let drills: Vec<String> = drills.iter().map(ToString::to_string).collect();
        for some in drills.chunks(AT_ONCE) {
            let asked = Asked::new("DELETE FROM fires WHERE outcome = ");
            let asked = asked.bind(Reason::Missed.name().to_owned());
            let asked = asked.push(" AND scheduled_for > ").bind(latest);
            self.put(asked.push(" AND ").of_drills(some)).await?;
        }
        Ok(())
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
        let rows = self.all(fires(filter)).await?;
        known(rows.iter().map(fire))
    }

    async fn passed(&self, period: Period) -> Result<Vec<Passed>, StoreError> {
        let rows = self.all(passed(period)).await?;
        known(rows.iter().map(passed_of))
    }
}

pub(super) fn fires(filter: &FireFilter) -> Asked {
    let asked = Asked::new("SELECT drill, scheduled_for, outcome, older, run_id FROM fires WHERE ");
    let mut asked = match &filter.drills {
        Some(drills) => asked.of_drills(drills),
        None => asked.push("true"),
    };
    if filter.passed.is_some() {
        asked = asked.push(" AND outcome <> 'started'");
    }
    if let Some(Why::This(reason)) = filter.passed {
        let reason = reason.name().to_owned();
        asked = asked.push(" AND outcome = ").bind(reason);
    }
    if let Some((at, drill)) = &filter.after {
        let at = at.as_microsecond();
        asked = asked.push(" AND scheduled_for <= ").bind(at);
        asked = asked.push(" AND (scheduled_for < ").bind(at);
        asked = asked.push(" OR drill > ").bind(drill.clone()).push(")");
    }
    let asked = asked.push(" ORDER BY scheduled_for DESC, drill LIMIT ");
    asked.bind(i64::from(filter.limit))
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

/// Without what a newer version may have written: that one knows what it means.
fn known<T>(told: impl Iterator<Item = Result<T, StoreError>>) -> Result<Vec<T>, StoreError> {
    let known = told.filter_map(|one| match one {
        Err(error @ StoreError::Inconsistent { .. }) => {
            tracing::warn!(%error, "a fire time cannot be read");
            None
        }
        one => Some(one),
    });
    known.collect()
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
    /// What nothing can have been dealt with that is later. A clock that is behind must
    /// not undo what others did: the one that is ahead counts.
    async fn latest(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        Ok(now.max(self.now().await?) + AHEAD)
    }

    async fn try_settled(
        &self,
        drills: &[(String, String)],
        now: Timestamp,
    ) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let mut transaction = self.begin_write().await?;
        let mut settled = BTreeMap::new();
        for some in drills.chunks(AT_ONCE) {
            let asked =
                Asked::new("INSERT INTO schedules AS known (drill, calendar, settled) VALUES ");
            let asked = asked.rows(some, |asked, (drill, calendar)| {
                let asked = asked.bind(drill.clone()).push(", ").bind(calendar.clone());
                asked.push(", ").bind(now.as_microsecond())
            });
            let asked = asked.push(
                " ON CONFLICT (drill) DO UPDATE SET calendar = excluded.calendar, \
                 settled = CASE WHEN known.calendar = excluded.calendar \
                 OR known.settled > excluded.settled THEN known.settled \
                 ELSE excluded.settled END RETURNING drill, settled",
            );
            for row in asked.within(&mut transaction).await? {
                let drill: String = row.try_get("drill").map_err(backend("read"))?;
                let at = time(&drill, &row, "settled")?;
                settled.insert(drill, at);
            }
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
        let mut passed: Vec<_> = settlements.iter().flat_map(fires_of).collect();
        // Two processes that write the same lines in another order would wait for
        // each other.
        passed.sort_by_key(|(drill, missed, _)| (*drill, missed.scheduled_for));
        for some in passed.chunks(AT_ONCE) {
            pass(&mut transaction, some, now).await?;
        }
        // One statement does not change the same line twice.
        let mut until: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for one in settlements {
            let known = until.entry(one.drill.as_str()).or_insert(one.until);
            *known = one.until.max(*known);
        }
        let until: Vec<_> = until.into_iter().collect();
        for some in until.chunks(AT_ONCE) {
            move_on(&mut transaction, some).await?;
        }
        transaction.commit().await.map_err(backend("written"))
    }
}

/// The fire times of a settlement with their drill, and how many more there were
/// before each.
fn fires_of(one: &Settlement) -> impl Iterator<Item = (&str, Missed, u64)> {
    let older = std::iter::once(one.older).chain(std::iter::repeat(0));
    let passed = one.passed.iter().zip(older);
    passed.map(|(missed, older)| (one.drill.as_str(), *missed, older))
}

/// Notes fire times that pass.
async fn pass(
    transaction: &mut Writing<'_>,
    passed: &[(&str, Missed, u64)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO fires (drill, scheduled_for, settled_at, outcome, older) VALUES ";
    let asked = Asked::new(sql).rows(passed, |asked, (drill, missed, older)| {
        let asked = asked.bind((*drill).to_owned());
        let asked = asked.push(", ").bind(missed.scheduled_for.as_microsecond());
        let asked = asked.push(", ").bind(now.as_microsecond());
        let asked = asked.push(", ").bind(missed.reason.name().to_owned());
        let older = i64::try_from(*older).unwrap_or(i64::MAX);
        asked.push(", ").bind(older)
    });
    let asked = asked.push(" ON CONFLICT DO NOTHING");
    asked.within(transaction).await.map(drop)
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
    move_on(transaction, &[(&record.drill, scheduled_for)]).await
}

/// Fire times of these drills are dealt with up to there.
async fn move_on(
    transaction: &mut Writing<'_>,
    until: &[(&str, Timestamp)],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO schedules AS known (drill, settled) VALUES ";
    let asked = Asked::new(sql).rows(until, |asked, (drill, until)| {
        let asked = asked.bind((*drill).to_owned());
        asked.push(", ").bind(until.as_microsecond())
    });
    let asked = asked.push(
        " ON CONFLICT (drill) DO UPDATE SET settled = excluded.settled \
         WHERE known.settled < excluded.settled",
    );
    asked.within(transaction).await.map(drop)
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
