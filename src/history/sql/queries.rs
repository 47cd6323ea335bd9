//! Reading runs. Each question is asked so that an index answers it, however
//! long the history is.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{Row, any::AnyRow};

use super::{
    SqlHistory,
    asked::Asked,
    backend,
    records::{record, summary},
};
use crate::{
    domain::{ids::RunId, record::RunRecord, summary::RunSummary},
    history::{Filter, Place, Queries},
    runner::store::StoreError,
};

#[async_trait]
impl Queries for SqlHistory {
    async fn list(&self, filter: &Filter) -> Result<Vec<RunRecord>, StoreError> {
        self.all(list(filter)).await?.iter().map(record).collect()
    }

    async fn summaries(&self, filter: &Filter) -> Result<Vec<RunSummary>, StoreError> {
        self.all(list(filter)).await?.iter().map(summary).collect()
    }

    async fn concluded(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Timestamp, RunRecord)>, StoreError> {
        let rows = self.all(concluded(since, limit)).await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            match with_time(row) {
                Ok(one) => all.push(one),
                // As a newer version may have written it. Whoever goes through
                // all of them must get past it.
                Err(error @ StoreError::Inconsistent { .. }) => {
                    tracing::error!(%error, "a run cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    async fn find(&self, text: &str) -> Result<Vec<RunRecord>, StoreError> {
        let Some(asked) = find(text) else {
            return Ok(Vec::new());
        };
        self.all(asked).await?.iter().map(record).collect()
    }

    async fn requested(&self, key: &str) -> Result<Option<RunRecord>, StoreError> {
        let asked = Asked::new("SELECT id, record, packed FROM runs WHERE request_key = ");
        let rows = self.all(asked.bind(key.to_owned())).await?;
        rows.first().map(record).transpose()
    }
}

fn list(filter: &Filter) -> Asked {
    let asked = Asked::new("SELECT id, record, packed FROM runs WHERE ");
    let asked = match (filter.drills.as_deref(), filter.limit) {
        (None, _) => before(asked.push("true"), filter.after),
        (Some(drills @ [_, _, ..]), Some(limit)) if drills.len() <= FEW => {
            let asked = asked.push("id IN (SELECT id FROM (");
            let asked = newest_of_each(asked, drills, filter.after, limit);
            let asked = asked.push(") AS newest").push(NEWEST_FIRST);
            asked.push(&at_most(limit)).push(")")
        }
        (Some(drills), _) => before(asked.of_drills(drills), filter.after),
    };
    let asked = asked.push(NEWEST_FIRST);
    match filter.limit {
        Some(limit) => asked.push(&at_most(limit)),
        None => asked,
    }
}

/// More drills than these have so many of all runs that the newest of theirs are
/// found soon among the newest of all.
const FEW: usize = 200;

const NEWEST_FIRST: &str = " ORDER BY requested_at DESC, id DESC";

/// As a part of the text: with a number that it does not know PostgreSQL reckons
/// with a tenth of all, and plans anew each time.
fn at_most(limit: u32) -> String {
    format!(" LIMIT {limit}")
}

/// The same of one alone, which has so many before it.
fn after_so_many(before: u32) -> String {
    format!(" LIMIT 1 OFFSET {before}")
}

/// Places among which are the newest of these drills' runs, from an index alone: to
/// sort all runs of many drills, or to look through those of others, would take
/// long.
///
/// Where each of so many drills has so many runs that it makes a page, as of an
/// instant, none that is older can be on it. That leaves hardly more than the page.
/// If fewer drills have as many, the newest of each are taken.
fn newest_of_each(asked: Asked, drills: &[String], after: Option<Place>, limit: u32) -> Asked {
    let drills: BTreeSet<&String> = drills.iter().collect();
    let drills: Vec<&String> = drills.into_iter().collect();
    let limit = limit.max(1);
    let number = u32::try_from(drills.len()).unwrap_or(u32::MAX);
    let each = limit.div_ceil(number.max(1));
    let of_so_many = limit.div_ceil(each);
    let nth = |asked: Asked, number: u32| {
        let asked = asked.push("(SELECT requested_at FROM runs WHERE drill = name");
        let asked = before(asked, after).push(NEWEST_FIRST);
        asked.push(&after_so_many(number - 1)).push(")")
    };
    let asked = asked.push("WITH asked (name) AS (VALUES ");
    let asked = asked.rows(&drills, |asked, drill| asked.bind((*drill).clone()));
    let asked = asked.push("), reaching (name, back) AS MATERIALIZED (SELECT name, ");
    let asked = nth(asked, each).push(
        " FROM asked) SELECT runs.id, runs.requested_at FROM reaching JOIN runs ON drill = name \
         AND requested_at >= coalesce((SELECT back FROM reaching WHERE back IS NOT NULL \
         ORDER BY back DESC",
    );
    let asked = asked.push(&after_so_many(of_so_many - 1)).push("), ");
    before(nth(asked, limit).push(", 0)"), after)
}

/// That a run comes after `place` in the list.
fn before(asked: Asked, place: Option<Place>) -> Asked {
    let Some(place) = place else { return asked };
    let asked = asked.push(" AND (requested_at, id) < (");
    let asked = asked.bind(place.requested_at.as_microsecond());
    asked.push(", ").bind(place.id.to_string()).push(")")
}

fn concluded(since: Timestamp, limit: u32) -> Asked {
    let asked =
        Asked::new("SELECT id, record, packed, concluded_at FROM runs WHERE concluded_at >= ");
    asked
        .bind(since.as_microsecond())
        .push(" ORDER BY concluded_at, id LIMIT ")
        .bind(i64::from(limit))
}

/// `None` where no id looks like that.
fn find(text: &str) -> Option<Asked> {
    let asked = Asked::new("SELECT id, record, packed FROM runs WHERE ");
    if let Ok(id) = text.parse::<RunId>() {
        return Some(asked.push("id = ").bind(id.to_string()));
    }
    // Nor is anything in it that a pattern takes for something else.
    let of_an_id = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'-');
    if !text.bytes().all(of_an_id) {
        return None;
    }
    let asked = asked.push("id LIKE ").bind(format!("{text}%"));
    let asked = asked.push(" OR id LIKE ").bind(format!("%{text}"));
    Some(asked.push(" LIMIT 2"))
}

pub(super) fn with_time(row: &AnyRow) -> Result<(Timestamp, RunRecord), StoreError> {
    let record = record(row)?;
    let at: i64 = row.try_get("concluded_at").map_err(backend("read"))?;
    let at = Timestamp::from_microsecond(at);
    let at = at.map_err(|error| StoreError::Inconsistent {
        run: record.id.to_string(),
        what: format!("column concluded_at: {error}"),
    })?;
    Ok((at, record))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{tallies, trend},
        *,
    };
    use crate::history::{Period, tallies::Trend};

    async fn plan(history: &SqlHistory, asked: Asked) -> String {
        let rows = history.all(asked.prefixed("EXPLAIN QUERY PLAN ")).await;
        let rows = rows.unwrap();
        let lines = rows.iter().map(|row| row.get::<String, _>("detail"));
        lines.collect::<Vec<_>>().join("; ")
    }

    async fn empty() -> (tempfile::TempDir, SqlHistory) {
        let place = tempfile::tempdir().unwrap();
        let history = SqlHistory::in_file(&place.path().join("h.db")).await;
        (place, history.unwrap())
    }

    /// What is sorted are places alone, and some of each drill.
    #[tokio::test]
    async fn an_index_answers_for_many_drills() {
        let (_place, history) = empty().await;
        let asked = list(&Filter {
            drills: Some(vec!["a".to_owned(), "b".to_owned()]),
            after: None,
            limit: Some(20),
        });
        let plan = plan(&history, asked).await;
        let index = "SEARCH runs USING COVERING INDEX runs_by_drill (drill=?";
        assert_eq!(plan.matches(index).count(), 3, "{plan}");
        assert!(
            plan.contains(" (id=?)") && !plan.contains("SCAN runs"),
            "{plan}"
        );
    }

    #[tokio::test]
    async fn an_index_answers_each_question() {
        let (_place, history) = empty().await;
        let id = RunId::new(Timestamp::UNIX_EPOCH);
        let after = Some(Place {
            requested_at: Timestamp::UNIX_EPOCH,
            id,
        });
        let of = |drills: &[&str], after| {
            let drills = drills.iter().map(|drill| (*drill).to_owned());
            let drills: Vec<_> = drills.collect();
            list(&Filter {
                drills: (!drills.is_empty()).then_some(drills),
                after,
                limit: Some(20),
            })
        };
        let now = Timestamp::UNIX_EPOCH;
        let part = |after, namespaces| Trend {
            drill: "a".to_owned(),
            namespaces,
            after,
            limit: 9,
        };
        for (query, index) in [
            (of(&[], None), "runs_by_time"),
            (of(&[], after), "runs_by_time ((requested_at,id)<(?,?))"),
            (of(&["a"], None), "runs_by_drill (drill=?"),
            (
                of(&["a"], after),
                "runs_by_drill (drill=? AND (requested_at,id)<(?,?))",
            ),
            (concluded(now, 9), "runs_by_conclusion (concluded_at>?)"),
            (
                trend::asked(&part(None, None)),
                "USING COVERING INDEX runs_by_point (drill=? AND concluded_at>?)",
            ),
            (
                trend::asked(&part(Some((now, id)), Some(vec!["a".to_owned()]))),
                "USING COVERING INDEX runs_by_point \
                 (drill=? AND concluded_at>? AND (concluded_at,id)<(?,?))",
            ),
            (tallies::uncounted(None, 9), "USING INDEX runs_uncounted"),
            (
                tallies::uncounted(Some(now), 9),
                "runs_uncounted (concluded_at<?)",
            ),
            (find(&id.to_string()).unwrap(), "(id=?)"),
            (
                super::super::agenda::passed(Period {
                    since: now,
                    until: now,
                }),
                "fires_by_settling (settled_at>? AND settled_at<?)",
            ),
        ] {
            let sql = query.sql().to_owned();
            let plan = plan(&history, query).await;
            assert!(plan.contains(index), "{sql}: {plan}");
            let sorted = plan.contains("TEMP B-TREE FOR ORDER BY");
            assert!(!sorted, "{sql}: {plan}");
        }
    }
}
