//! Reading runs. Each question is asked so that an index answers it, however
//! long the history is.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{QueryBuilder, Row, Sqlite, sqlite::SqliteRow};

use super::{SqliteHistory, backend, from_json};
use crate::{
    domain::{ids::RunId, record::RunRecord},
    history::{Filter, Queries},
    runner::store::StoreError,
};

#[async_trait]
impl Queries for SqliteHistory {
    async fn list(&self, filter: &Filter) -> Result<Vec<RunRecord>, StoreError> {
        self.all(list(filter)).await?.iter().map(record).collect()
    }

    async fn concluded(
        &self,
        drill: Option<&str>,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Timestamp, RunRecord)>, StoreError> {
        let rows = self.all(concluded(drill, since, limit)).await?;
        rows.iter()
            .map(|row| {
                let record = record(row)?;
                let at: i64 = row.try_get("concluded_at").map_err(backend("read"))?;
                let at = Timestamp::from_microsecond(at);
                let at = at.map_err(|error| StoreError::Inconsistent {
                    run: record.id.to_string(),
                    what: format!("column concluded_at: {error}"),
                })?;
                Ok((at, record))
            })
            .collect()
    }

    async fn find(&self, text: &str) -> Result<Vec<RunRecord>, StoreError> {
        self.all(find(text)).await?.iter().map(record).collect()
    }
}

impl SqliteHistory {
    async fn all(&self, mut query: QueryBuilder<Sqlite>) -> Result<Vec<SqliteRow>, StoreError> {
        let rows = query.build().fetch_all(&self.pool).await;
        rows.map_err(backend("read"))
    }
}

fn list(filter: &Filter) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT id, record FROM runs WHERE true");
    if let Some(drill) = &filter.drill {
        query.push(" AND drill = ").push_bind(drill.clone());
    }
    if let Some(place) = filter.after {
        query.push(" AND (requested_at, id) < (");
        query.push_bind(place.requested_at.as_microsecond());
        query.push(", ").push_bind(place.id.to_string()).push(")");
    }
    query.push(" ORDER BY requested_at DESC, id DESC");
    if let Some(limit) = filter.limit {
        query.push(" LIMIT ").push_bind(limit);
    }
    query
}

fn concluded(drill: Option<&str>, since: Timestamp, limit: u32) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT id, record, concluded_at FROM runs");
    query.push(" WHERE concluded_at >= ");
    query.push_bind(since.as_microsecond());
    if let Some(drill) = drill {
        query.push(" AND drill = ").push_bind(drill.to_owned());
    }
    query
        .push(" ORDER BY concluded_at, id LIMIT ")
        .push_bind(limit);
    query
}

fn find(text: &str) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT id, record FROM runs WHERE ");
    if let Ok(id) = text.parse::<RunId>() {
        query.push("id = ").push_bind(id.to_string());
        return query;
    }
    query
        .push("substr(id, 1, length(")
        .push_bind(text.to_owned());
    query.push(")) = ").push_bind(text.to_owned());
    query
        .push(" OR substr(id, -length(")
        .push_bind(text.to_owned());
    query.push(")) = ").push_bind(text.to_owned());
    query.push(" LIMIT 2");
    query
}

fn record(row: &SqliteRow) -> Result<RunRecord, StoreError> {
    let id: String = row.try_get("id").map_err(backend("read"))?;
    from_json(&id, row, "record")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Place;

    async fn plan(history: &SqliteHistory, query: QueryBuilder<Sqlite>) -> String {
        let mut asked = QueryBuilder::<Sqlite>::new("EXPLAIN QUERY PLAN ");
        // The plan does not depend on the values.
        asked.push(query.sql().as_str());
        let rows = asked.build().fetch_all(&history.pool).await.unwrap();
        let lines = rows.iter().map(|row| row.get::<String, _>("detail"));
        lines.collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn an_index_answers_each_question() {
        let place = tempfile::tempdir().unwrap();
        let history = SqliteHistory::open(&place.path().join("h.db"))
            .await
            .unwrap();
        let id = RunId::new(Timestamp::UNIX_EPOCH);
        let after = Some(Place {
            requested_at: Timestamp::UNIX_EPOCH,
            id,
        });
        let of = |drill: Option<&str>, after| {
            list(&Filter {
                drill: drill.map(str::to_owned),
                after,
                limit: Some(20),
            })
        };
        let now = Timestamp::UNIX_EPOCH;
        for (query, index) in [
            (of(None, None), "runs_by_time"),
            (of(None, after), "runs_by_time ((requested_at,id)<(?,?))"),
            (of(Some("a"), None), "runs_by_drill (drill=?"),
            (
                of(Some("a"), after),
                "runs_by_drill (drill=? AND (requested_at,id)<(?,?))",
            ),
            (
                concluded(None, now, 9),
                "runs_by_conclusion (concluded_at>?)",
            ),
            (find(&id.to_string()), "(id=?)"),
        ] {
            let sql = query.sql().as_str().to_owned();
            let plan = plan(&history, query).await;
            assert!(plan.contains(index), "{sql}: {plan}");
            assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
        }
    }
}
