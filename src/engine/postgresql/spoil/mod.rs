//! Spoiling a copy on purpose, to show that the checks would notice.

mod index;
mod row;

use super::{PostgresEngine, endpoint::ScratchCluster, session::Session};
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::{Context, Fault, Instance},
};

pub(super) async fn spoil(
    engine: &PostgresEngine,
    cx: &Context,
    faults: &[Fault],
    instance: &Instance,
) -> Result<Vec<String>, Failure> {
    let cluster = ScratchCluster::of(instance)?;
    let session = Session::open(&cluster.endpoint(), cx.run).await?;
    // Neither triggers nor foreign keys may spread the damage.
    let sql = "SET session_replication_role = replica";
    session.batch("spoil the copy", sql).await?;
    let canary = canary_table(engine, &session).await?;
    let mut done = Vec::new();
    for fault in faults {
        done.push(match fault {
            Fault::RowByte => {
                let mut spared = engine.checks.exclude_tables.clone();
                spared.extend(canary.clone());
                row::change_byte(&session, &spared).await?
            }
            Fault::CanaryWrite => drop_canary_write(&session, canary.as_deref()).await?,
            Fault::Index => {
                index::damage(&session, &cluster.data_directory, canary.as_deref()).await?
            }
        });
    }
    Ok(done)
}

/// The canary table as the server quotes it; `None` where the drill has none.
async fn canary_table(
    engine: &PostgresEngine,
    session: &Session,
) -> Result<Option<String>, Failure> {
    let Some(canary) = &engine.canary else {
        return Ok(None);
    };
    let sql = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c \
               JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";
    let rows = session
        .rows("find the canary table", sql, &[&canary.table])
        .await?;
    Ok(rows.first().map(|row| row.get(0)))
}

async fn drop_canary_write(session: &Session, table: Option<&str>) -> Result<String, Failure> {
    const DOING: &str = "drop a canary write";
    let Some(table) = table else {
        return Err(nothing_to(
            "drop",
            "canary write: the copy has no canary table",
        ));
    };
    // Of the newest run alone, and from its middle: the last ones may not
    // have been acknowledged before the cut.
    let sql = format!(
        "WITH latest AS (SELECT sequence FROM {table} WHERE run IS NOT DISTINCT FROM \
         (SELECT run FROM {table} ORDER BY sequence DESC LIMIT 1)) \
         DELETE FROM {table} WHERE sequence = (SELECT sequence FROM latest ORDER BY sequence \
         OFFSET (SELECT count(*) / 2 FROM latest) LIMIT 1) RETURNING sequence"
    );
    let rows = session.rows(DOING, &sql, &[]).await?;
    let sequence: i64 = rows
        .first()
        .map(|row| row.get(0))
        .ok_or_else(|| nothing_to("drop", "canary write: the canary table is empty"))?;
    Ok(format!(
        "dropped the canary write with sequence number {sequence} from {table}"
    ))
}

fn nothing_to(verb: &str, what: &str) -> Failure {
    Failure::new(FailureKind::NotFound, format!("nothing to {verb}: {what}"))
}
