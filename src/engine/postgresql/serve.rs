//! A real read and a real, committed write.

use super::{PostgresEngine, endpoint::ScratchCluster, session::Session};
use crate::{
    domain::{failure::Failure, timeline::Milestone},
    engine::{Context, Instance},
};

/// The tables of users, the biggest first.
const BIGGEST: &str = "select format('%I.%I', n.nspname, c.relname) \
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
    where c.relkind in ('r', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' \
    and (c.relkind = 'r' or c.relispopulated) \
    order by c.relpages desc, 1 limit 1";

pub(super) async fn serve(
    _engine: &PostgresEngine,
    cx: &Context,
    instance: &Instance,
) -> Result<(), Failure> {
    let cluster = ScratchCluster::of(instance)?;
    let session = Session::open(&cluster.endpoint(), cx.run).await?;
    read(&session).await?;
    cx.reached(Milestone::Reads);
    write(cx, &session).await?;
    cx.reached(Milestone::Serving);
    Ok(())
}

async fn read(session: &Session) -> Result<(), Failure> {
    let doing = "read from the copy";
    let tables = session.rows(doing, BIGGEST, &[]).await?;
    let query = match tables.first() {
        // The row itself is of no interest, only that it can be read whole.
        Some(row) => format!(
            "select count(t::text) from (select * from {} limit 1) t",
            row.get::<_, &str>(0)
        ),
        None => "select count(*) from pg_catalog.pg_class".to_owned(),
    };
    session.rows(doing, &query, &[]).await?;
    Ok(())
}

/// Commits twice: a row into a table of its own, and its removal.
async fn write(cx: &Context, session: &Session) -> Result<(), Failure> {
    let doing = "write into the copy";
    // Event triggers of the restored database could refuse or log the probe.
    let quiet = match session.batch(doing, "set event_triggers = off").await {
        Ok(()) => "",
        Err(_) => "set session_replication_role = replica",
    };
    session.batch(doing, quiet).await?;
    let schema = format!("lifeboat_probe_{}", cx.run.to_string().replace('-', "_"));
    let made = format!(
        "begin; set local synchronous_commit = on; create schema {schema}; \
         create table {schema}.probe (written bigint not null); \
         insert into {schema}.probe values (1); commit"
    );
    session.batch(doing, &made).await?;
    let query = format!("select written from {schema}.probe");
    let written = session.row(doing, &query, &[]).await?;
    debug_assert_eq!(written.get::<_, i64>(0), 1);
    let removed = format!("drop table {schema}.probe; drop schema {schema}");
    session.batch(doing, &removed).await
}
