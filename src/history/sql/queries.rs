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
    history::{Conclusion, Filter, Place, Queries},
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
        (None, _) => fitting(asked.push("true"), filter),
        // Of one alone an index has them in this order; but not SQLite's choice of an
        // index where those that passed are left out.
        (Some(drills @ [_, ..]), Some(limit))
            if drills.len() <= FEW && (drills.len() > 1 || filter.leaves_out_passed()) =>
        {
            let asked = asked.push("id IN (SELECT id FROM (");
            let asked = newest_of_each(asked, drills, filter, limit);
            let asked = asked.push(") AS newest").push(NEWEST_FIRST);
            asked.push(&at_most(limit)).push(")")
        }
        (Some(drills), _) => fitting(asked.of_drills(drills), filter),
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

/// Places among which are the newest of these drills' runs, from an index alone: to
/// sort all runs of many drills, or to look through those of others, would take
/// long.
///
/// Where so many drills have so many runs each that it makes a page, as of an
/// instant, none that is older can be on it. Where drills run equally often that
/// leaves hardly more than the page. Of one that runs far more often than others a
/// page is left, and of each where fewer drills have as many.
fn newest_of_each(asked: Asked, drills: &[String], filter: &Filter, limit: u32) -> Asked {
    let drills: BTreeSet<&String> = drills.iter().collect();
    let drills: Vec<&String> = drills.into_iter().collect();
    let limit = limit.max(1);
    let number = u32::try_from(drills.len()).unwrap_or(u32::MAX);
    let each = limit.div_ceil(number.max(1));
    let of_so_many = limit.div_ceil(each);
    // The instant of a drill's run that has one less before it.
    let nth = |asked: Asked, which: &str, number: u32| {
        let asked = asked.push("(SELECT requested_at FROM runs WHERE drill = name");
        let asked = fitting(asked.push(which), filter).push(NEWEST_FIRST);
        asked.push(&format!(" LIMIT 1 OFFSET {})", number - 1))
    };
    let asked = asked.push("WITH asked (name) AS (VALUES ");
    let asked = asked.rows(&drills, |asked, drill| asked.bind((*drill).clone()));
    let asked = asked.push("), reaching (back) AS MATERIALIZED (SELECT ");
    let asked = nth(asked, "", each).push(&format!(
        " FROM asked), since (back) AS MATERIALIZED (SELECT coalesce((SELECT back FROM reaching \
         WHERE back IS NOT NULL ORDER BY back DESC LIMIT 1 OFFSET {}), 0)) \
         SELECT runs.id, runs.requested_at FROM asked JOIN runs ON drill = name \
         AND requested_at >= coalesce(",
        of_so_many - 1
    ));
    let within = " AND requested_at >= (SELECT back FROM since)";
    let asked = nth(asked, within, limit).push(", (SELECT back FROM since))");
    fitting(asked, filter)
}

/// That a run fits what is asked for beside its drill.
fn fitting(asked: Asked, filter: &Filter) -> Asked {
    let mut asked = before(asked, filter.after);
    if let Some(since) = filter.since {
        let since = since.as_microsecond();
        asked = asked.push(" AND requested_at >= ").bind(since);
    }
    if let Some(until) = filter.until {
        let until = until.as_microsecond();
        asked = asked.push(" AND requested_at < ").bind(until);
    }
    if let Some(control) = filter.negative_control {
        asked = asked.push(if control { CONTROL } else { NO_CONTROL });
    }
    if filter.leaves_out_passed() {
        asked = asked.push(NOT_PASSED);
    }
    match &filter.conclusions {
        Some(conclusions) => concluded_as(asked, conclusions),
        None => asked,
    }
}

/// As indexes have it.
const NOT_PASSED: &str = " AND (verdict IS NULL OR verdict <> 'passed')";
const CONTROL: &str = " AND negative_control = 1";
const NO_CONTROL: &str = " AND negative_control = 0";

fn concluded_as(asked: Asked, conclusions: &BTreeSet<Conclusion>) -> Asked {
    let mut asked = asked.push(" AND (false");
    for conclusion in conclusions {
        asked = match conclusion {
            Conclusion::None => asked.push(" OR verdict IS NULL"),
            Conclusion::As(verdict) => asked.push(&format!(" OR verdict = '{}'", verdict.name())),
        };
    }
    asked.push(")")
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
    use crate::{
        domain::verdict::Verdict,
        history::{Period, tallies::Trend},
    };

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
        let place = Place {
            requested_at: Timestamp::UNIX_EPOCH,
            id: RunId::new(Timestamp::UNIX_EPOCH),
        };
        for after in [None, Some(place)] {
            let asked = list(&Filter {
                drills: Some(vec!["a".to_owned(), "b".to_owned()]),
                after,
                limit: Some(20),
                ..Filter::default()
            });
            let plan = plan(&history, asked).await;
            let index = "SEARCH runs USING COVERING INDEX runs_by_drill (drill=?";
            assert_eq!(plan.matches(index).count(), 3, "{plan}");
            let since = plan.matches("(drill=? AND requested_at>?").count();
            assert_eq!(since, 2, "{plan}");
            assert!(
                plan.contains(" (id=?)") && !plan.contains("SCAN runs"),
                "{plan}"
            );
        }
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
                ..Filter::default()
            })
        };
        let failed = |drills: Option<Vec<String>>| Filter {
            drills,
            conclusions: Some([Conclusion::As(Verdict::Failed)].into()),
            limit: Some(20),
            ..Filter::default()
        };
        let controls = Filter {
            negative_control: Some(true),
            after,
            limit: Some(20),
            ..Filter::default()
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
            (list(&failed(None)), "USING INDEX runs_not_passed"),
            (
                list(&failed(Some(vec!["a".to_owned(), "b".to_owned()]))),
                "COVERING INDEX runs_not_passed_by_drill (drill=? AND requested_at>?)",
            ),
            (
                list(&failed(Some(vec!["a".to_owned()]))),
                "COVERING INDEX runs_not_passed_by_drill (drill=? AND requested_at>?)",
            ),
            (
                list(&controls),
                "runs_of_controls ((requested_at,id)<(?,?))",
            ),
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
            // Of many drills, the places that are left.
            let sorted = plan.contains("TEMP B-TREE FOR ORDER BY");
            assert!(!sorted || plan.contains("SCAN asked"), "{sql}: {plan}");
        }
    }
}
