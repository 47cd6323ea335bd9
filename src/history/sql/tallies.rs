//! Runs, counted in the transaction that concludes them; and those that a program
//! of the version before concluded, which counts none.
//!
//! Two may count runs of a drill at once: one that was taken over and the next
//! one, or two that catch up. Each locks the tallies that it will write in the
//! order of their names, so that one waits for the other. Whether a run is
//! counted stands in its row, which changes in the same transaction. Who concludes
//! a run has its row first, and who catches up the tally: where that is the same
//! run, PostgreSQL ends one of them, which tries again.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use sqlx::{Row, any::AnyRow};

use super::{SqlHistory, Writing, asked::Asked, backend, queries::with_time, trend};
use crate::{
    domain::{
        record::RunRecord,
        tally::{Figures, Tally},
    },
    history::tallies::{CaughtUp, Changed, Changes, Mark, Point, Tallies, Trend},
    runner::store::StoreError,
};

/// A transaction that has written a tally may end so much later, and a clock be
/// set back so far while it does.
const OVERLAP: SignedDuration = SignedDuration::from_mins(5);

/// What `proof` says of a run whose record cannot be read.
pub(super) const UNREADABLE: &str = "unreadable";

/// A run, and when its verdict was drawn.
pub(super) type Concluded<'a> = (Timestamp, &'a RunRecord);

#[async_trait]
impl Tallies for SqlHistory {
    async fn tallies(&self, since: Option<&Mark>) -> Result<Changed, StoreError> {
        let now = self.all(Asked::new(&format!("SELECT {} AS now", self.dialect.now)));
        let as_of = now
            .await?
            .first()
            .map(|row| instant(row, "now"))
            .transpose()?;
        let as_of = as_of.unwrap_or_default();
        let since = since.map(|mark| (mark.as_of.min(as_of), &mark.seen));
        let (seen, rows) = self.news(since).await?;
        let tallies = rows.iter().map(|row| {
            let drill: String = row.try_get("drill").map_err(backend("read"))?;
            let tally = tally(&drill, row)?;
            Ok((drill, tally))
        });
        Ok(Changed {
            tallies: tallies.collect::<Result<_, _>>()?,
            mark: Mark { as_of, seen },
        })
    }

    async fn catch_up(&self, until: Option<Timestamp>, limit: u32) -> Result<CaughtUp, StoreError> {
        let rows = self.all(uncounted(until, limit)).await?;
        let Some(last) = rows.last() else {
            return Ok(CaughtUp {
                runs: 0,
                left: 0,
                next: None,
            });
        };
        let last = instant(last, "concluded_at")?;
        let found = read(&rows)?;
        let mut patience = self.patience();
        let (runs, left) = loop {
            match self.within("written", self.try_catch_up(&found)).await {
                Err(error) if patience.lasts(&error).await => {}
                done => break done?,
            }
        };
        // What cannot be counted must not be met again and again.
        let stuck = runs == 0 && found.odd.is_empty();
        let step = SignedDuration::from_micros(i64::from(stuck));
        let next = last.checked_sub(step).ok();
        let next = next.filter(|_| rows.len() == limit as usize);
        Ok(CaughtUp { runs, left, next })
    }

    async fn trend(&self, wanted: &Trend) -> Result<Vec<Point>, StoreError> {
        let rows = self.all(trend::asked(wanted)).await?;
        let mut points = Vec::with_capacity(rows.len());
        for row in &rows {
            match trend::point(row) {
                Ok(point) => points.push(point),
                // As a newer version may have written it.
                Err(error @ StoreError::Inconsistent { .. }) => {
                    tracing::error!(%error, "a run is not in its trend");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(points)
    }
}

impl SqlHistory {
    /// When tallies have changed, and those of them that are not seen yet, and
    /// hardly others. All where nothing is.
    async fn news(
        &self,
        since: Option<(Timestamp, &Changes)>,
    ) -> Result<(Changes, Vec<AnyRow>), StoreError> {
        let asked = Asked::new("SELECT drill, changed_at, tally FROM tallies");
        let Some((since, seen)) = since else {
            let rows = self.all(asked).await?;
            return Ok((changes(&rows)?, rows));
        };
        let since = since.checked_sub(OVERLAP).unwrap_or(Timestamp::MIN);
        let changed = Asked::new("SELECT drill, changed_at FROM tallies");
        let now = changes(&self.all(later(changed, since)).await?)?;
        let news = now
            .iter()
            .filter(|(drill, at)| seen.get(*drill) != Some(*at));
        // What changes meanwhile has a later instant than it had.
        let rows = match news.map(|(_, at)| *at).min() {
            Some(oldest) => self.all(later(asked, oldest)).await?,
            None => Vec::new(),
        };
        Ok((now, rows))
    }

    /// Counts runs that are not counted yet; gives how many, and how many cannot be.
    async fn try_catch_up(&self, found: &Found) -> Result<(usize, usize), StoreError> {
        let mut transaction = self.begin_write().await?;
        let drills = found.runs.iter().map(|(_, record)| record.drill.as_str());
        let mut tallies = lock(&mut transaction, drills.collect(), self.dialect.now).await?;
        let countable = found
            .runs
            .iter()
            .filter(|(_, run)| tallies.contains_key(&run.drill));
        let countable: Vec<Concluded<'_>> = countable.map(|(at, run)| (*at, run)).collect();
        let left = found.runs.len() - countable.len();
        let counted = note(&mut transaction, &countable).await?;
        let mut changed = BTreeSet::new();
        for (at, record) in countable {
            if let Some(tally) = tallies.get_mut(&record.drill)
                && counted.contains(&record.id.to_string())
            {
                tally.add(record, at);
                changed.insert(record.drill.as_str());
            }
        }
        tallies.retain(|drill, _| changed.contains(drill.as_str()));
        put(&mut transaction, &tallies, self.dialect.now).await?;
        set_aside(&mut transaction, &found.odd).await?;
        transaction.commit().await.map_err(backend("written"))?;
        Ok((counted.len(), left))
    }

    /// Counts a run that is being concluded; gives whether it could be. If not, it
    /// is left to those who can: it is concluded all the same.
    pub(super) async fn count(
        &self,
        transaction: &mut Writing<'_>,
        (at, record): Concluded<'_>,
    ) -> Result<bool, StoreError> {
        let drills = BTreeSet::from([record.drill.as_str()]);
        let mut tallies = lock(transaction, drills, self.dialect.now).await?;
        let Some(tally) = tallies.get_mut(&record.drill) else {
            return Ok(false);
        };
        tally.add(record, at);
        put(transaction, &tallies, self.dialect.now).await?;
        Ok(true)
    }
}

/// The tallies of these drills, which nobody else writes from here on. One that
/// cannot be read is not among them.
async fn lock(
    transaction: &mut Writing<'_>,
    drills: BTreeSet<&str>,
    now: &str,
) -> Result<BTreeMap<String, Tally>, StoreError> {
    if drills.is_empty() {
        return Ok(BTreeMap::new());
    }
    let drills: Vec<&str> = drills.into_iter().collect();
    let asked = Asked::new("INSERT INTO tallies (drill, tally, changed_at) VALUES ");
    let asked = asked.rows(&drills, |asked, drill| {
        asked.bind((*drill).to_owned()).push(", '{}', ").push(now)
    });
    // What changes nothing locks the row, and waits for who has just made it.
    let asked = asked.push(
        " ON CONFLICT (drill) DO UPDATE SET changed_at = tallies.changed_at \
         RETURNING drill, tally",
    );
    let mut tallies = BTreeMap::new();
    for row in asked.within(transaction).await? {
        let drill: String = row.try_get("drill").map_err(backend("read"))?;
        if let Some(tally) = tally(&drill, &row)? {
            tallies.insert(drill, tally);
        }
    }
    Ok(tallies)
}

/// Writes tallies that are locked.
async fn put(
    transaction: &mut Writing<'_>,
    tallies: &BTreeMap<String, Tally>,
    now: &str,
) -> Result<(), StoreError> {
    let mut changed = Vec::with_capacity(tallies.len());
    for (drill, tally) in tallies {
        let text = serde_json::to_string(tally).map_err(super::faults::json("written"))?;
        changed.push((drill.clone(), text));
    }
    if changed.is_empty() {
        return Ok(());
    }
    let asked = Asked::new("WITH changed (name, text) AS (VALUES ");
    let asked = asked.rows(&changed, |asked, (drill, text)| {
        asked.bind(drill.clone()).push(", ").bind(text.clone())
    });
    // Later than before, whatever the clock says: so it tells one change from
    // another.
    let asked = asked.push(&format!(
        "), clock (now) AS MATERIALIZED (SELECT {now}) \
         UPDATE tallies SET tally = text, changed_at = \
         CASE WHEN now > changed_at THEN now ELSE changed_at + 1 END \
         FROM changed, clock WHERE drill = name"
    ));
    asked.within(transaction).await.map(drop)
}

/// Notes the figures of runs in their rows, which says that they are counted; gives
/// those that were not counted before.
async fn note(
    transaction: &mut Writing<'_>,
    runs: &[Concluded<'_>],
) -> Result<BTreeSet<String>, StoreError> {
    if runs.is_empty() {
        return Ok(BTreeSet::new());
    }
    let asked = Asked::new("WITH counted (run, rto, rpo, space, proven) AS (VALUES ");
    let asked = asked.rows(runs, |asked, (_, record)| {
        let columns = Columns::of(record);
        let asked = asked.bind(record.id.to_string()).push(", ");
        let asked = asked.bind(columns.rto_ms).push(", ").bind(columns.rpo_ms);
        let asked = asked.push(", ").bind(columns.namespace).push(", ");
        asked.bind(columns.proof)
    });
    let asked = asked.push(
        ") UPDATE runs SET rto_ms = rto, rpo_ms = rpo, namespace = space, proof = proven \
         FROM counted WHERE id = run AND proof IS NULL RETURNING id",
    );
    let rows = asked.within(transaction).await?;
    let ids = rows.iter().map(|row| row.try_get("id"));
    ids.collect::<Result<_, _>>().map_err(backend("read"))
}

/// Keeps runs that cannot be read from being looked at again.
async fn set_aside(transaction: &mut Writing<'_>, odd: &[String]) -> Result<(), StoreError> {
    for run in odd {
        let asked = Asked::new("UPDATE runs SET proof = ").bind(UNREADABLE.to_owned());
        let asked = asked
            .push(" WHERE proof IS NULL AND id = ")
            .bind(run.clone());
        asked.within(transaction).await?;
    }
    Ok(())
}

/// What is noted of a run beside its record.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) rto_ms: Option<i64>,
    pub(super) rpo_ms: Option<i64>,
    pub(super) namespace: Option<String>,
    /// `None` where it is not counted.
    pub(super) proof: Option<String>,
}

impl Columns {
    pub(super) fn of(record: &RunRecord) -> Self {
        let Some(figures) = Figures::of(record) else {
            return Self::default();
        };
        let whole = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        Self {
            rto_ms: figures.rto_ms.map(whole),
            rpo_ms: figures.rpo_ms.map(whole),
            namespace: figures.namespace.map(str::to_owned),
            proof: Some(figures.proof.name().to_owned()),
        }
    }
}

fn changes(rows: &[AnyRow]) -> Result<Changes, StoreError> {
    let each = rows.iter().map(|row| {
        let drill = row.try_get("drill").map_err(backend("read"))?;
        Ok((drill, instant(row, "changed_at")?))
    });
    each.collect()
}

fn later(asked: Asked, since: Timestamp) -> Asked {
    let asked = asked.push(" WHERE changed_at >= ");
    asked.bind(since.as_microsecond())
}

/// Runs that are not counted, the newest first: what is told of the newest one is
/// right as soon as it is counted, whatever else is not.
pub(super) fn uncounted(until: Option<Timestamp>, limit: u32) -> Asked {
    let asked = Asked::new(
        "SELECT id, record, packed, concluded_at FROM runs \
         WHERE proof IS NULL AND verdict IS NOT NULL",
    );
    // Where the last ones were, the index is full of what is no more.
    let asked = match until {
        Some(until) => asked
            .push(" AND concluded_at <= ")
            .bind(until.as_microsecond()),
        None => asked,
    };
    asked
        .push(" ORDER BY concluded_at DESC LIMIT ")
        .bind(i64::from(limit))
}

/// Runs that are not counted.
#[derive(Default)]
struct Found {
    runs: Vec<(Timestamp, RunRecord)>,
    /// The ids of those that cannot be read.
    odd: Vec<String>,
}

fn read(rows: &[AnyRow]) -> Result<Found, StoreError> {
    let mut found = Found::default();
    for row in rows {
        match with_time(row) {
            Ok(run) => found.runs.push(run),
            Err(error @ StoreError::Inconsistent { .. }) => {
                tracing::error!(%error, "a run cannot be counted");
                found.odd.push(row.try_get("id").map_err(backend("read"))?);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// `None` where it cannot be read: as a newer version may have written it.
fn tally(drill: &str, row: &AnyRow) -> Result<Option<Tally>, StoreError> {
    let text: String = row.try_get("tally").map_err(backend("read"))?;
    let tally = serde_json::from_str(&text);
    Ok(tally
        .inspect_err(|error| tracing::error!(drill, %error, "what is counted cannot be read"))
        .ok())
}

pub(super) fn instant(row: &AnyRow, column: &str) -> Result<Timestamp, StoreError> {
    let at: i64 = row.try_get(column).map_err(backend("read"))?;
    Timestamp::from_microsecond(at).map_err(|error| StoreError::Backend {
        doing: "read",
        source: Box::new(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn history() -> (tempfile::TempDir, SqlHistory) {
        let place = tempfile::tempdir().unwrap();
        let history = SqlHistory::in_file(&place.path().join("h.db")).await;
        (place, history.unwrap())
    }

    async fn change(history: &SqlHistory, drills: &[&str], now: &str) {
        let mut transaction = history.begin_write().await.unwrap();
        let drills = drills.iter().copied().collect();
        let tallies = lock(&mut transaction, drills, now).await.unwrap();
        put(&mut transaction, &tallies, now).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Whoever follows them knows a change by its instant.
    #[tokio::test]
    async fn two_changes_never_have_the_same_instant() {
        let (_place, history) = history().await;
        let mut instants = Vec::new();
        // A clock that stands still, and is set back.
        for now in ["7", "7", "5", "100"] {
            change(&history, &["a"], now).await;
            let asked = Asked::new("SELECT drill, changed_at FROM tallies");
            let told = changes(&history.all(asked).await.unwrap()).unwrap();
            instants.push(told["a"].as_microsecond());
        }
        assert!(instants.is_sorted_by(|a, b| a < b), "{instants:?}");
        assert_eq!(instants.last(), Some(&100));
    }

    #[tokio::test]
    async fn what_is_seen_is_not_read_again() {
        let (_place, history) = history().await;
        change(&history, &["a", "b", "c"], history.dialect.now).await;
        let mut mark = Mark::default();
        let mut told = async |since: bool| {
            let changed = history.tallies(since.then_some(&mark)).await.unwrap();
            mark = changed.mark;
            let tallies = changed.tallies.into_iter();
            tallies.map(|(drill, _)| drill).collect::<Vec<_>>()
        };
        assert_eq!(told(false).await, ["a", "b", "c"]);
        assert!(told(true).await.is_empty());
        // What is committed long after it was written.
        let minute_ago = format!("{} - 60000000", history.dialect.now);
        change(&history, &["d"], &minute_ago).await;
        assert!(told(true).await.contains(&"d".to_owned()));
        assert!(told(true).await.is_empty());
        change(&history, &["b"], history.dialect.now).await;
        assert_eq!(told(true).await, ["b"]);
    }
}
