//! Whether the connections that a capture needs can be had, share a snapshot,
//! and last.

use super::{Looked, finding_of, first_few};
use crate::{
    domain::{check::Finding, failure::Failure},
    engine::postgresql::session::Session,
};

pub(super) async fn look(looked: &Looked<'_>) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    findings.push(match pooled(looked).await? {
        Some(finding) => finding,
        None => snapshot(looked).await,
    });
    findings.push(free(looked).await?);
    findings.extend(limits(looked).await?);
    if looked.standby {
        findings.extend(standby(looked).await?);
    }
    Ok(findings)
}

async fn backend(session: &Session) -> Result<i32, Failure> {
    let sql = "select pg_backend_pid()";
    Ok(session.row("ask for the backend", sql, &[]).await?.get(0))
}

/// A pooler that hands out a server connection per transaction loses what a
/// session has set, and `pg_dump` sets much. Two idle sessions of ours then
/// share a backend, or one changes it between statements; neither can happen
/// without a pooler.
async fn pooled(looked: &Looked<'_>) -> Result<Option<Finding>, Failure> {
    let first = backend(&looked.session).await?;
    let other = Session::open(looked.endpoint, looked.cx.run).await?;
    let second = backend(&other).await?;
    let again = backend(&looked.session).await?;
    if !is_pooled(first, second, again) {
        return Ok(None);
    }
    let text = "a pooler shares server connections between sessions, so settings and snapshots \
                get lost";
    let hint = "name the server itself in the drill, or a pool with pool_mode=session";
    Ok(Some(Finding::error("connection", text).hint(hint)))
}

fn is_pooled(first: i32, second: i32, again: i32) -> bool {
    first != again || first == second
}

/// Does for real what a capture will do.
async fn snapshot(looked: &Looked<'_>) -> Finding {
    match share_snapshot(looked).await {
        Ok(()) => Finding::ok("snapshot", "can be shared between connections"),
        Err(failure) => finding_of("snapshot", &failure),
    }
}

async fn share_snapshot(looked: &Looked<'_>) -> Result<(), Failure> {
    let doing = "share a snapshot";
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let exporter = Session::open(looked.endpoint, looked.cx.run).await?;
    exporter.batch(doing, begin).await?;
    let sql = "select quote_literal(pg_export_snapshot())";
    let id: String = exporter.row(doing, sql, &[]).await?.get(0);
    let importer = Session::open(looked.endpoint, looked.cx.run).await?;
    let import = format!("{begin}; SET TRANSACTION SNAPSHOT {id}");
    importer.batch(doing, &import).await.map_err(|failure| {
        failure.hint("connections may land on different servers: name a single one in the drill")
    })
}

/// Everyone may see how many connections there are.
const FREE: &str = "\
    select current_setting('max_connections')::int8 \
           - current_setting('superuser_reserved_connections')::int8 \
           - coalesce(current_setting('reserved_connections', true)::int8, 0) \
           - (select coalesce(sum(numbackends), 0)::int8 from pg_stat_database), \
           (select rolconnlimit from pg_roles where rolname = current_user)::int8, \
           (select datconnlimit from pg_database where datname = current_database())::int8";

async fn free(looked: &Looked<'_>) -> Result<Finding, Failure> {
    let row = looked.session.row("count connections", FREE, &[]).await?;
    let (server, user, database): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    let jobs = looked.engine.fresh.as_ref().map_or(0, |fresh| fresh.jobs);
    let checks = looked.engine.sandbox.verify_jobs;
    // Exporter, inventory, canary, and pg_dump's own beside its workers.
    let needed = i64::from(jobs) + i64::from(checks) + 4;
    let limits = [user, database].into_iter().filter(|limit| *limit >= 0);
    let left = limits.fold(server, i64::min);
    let text = format!("a capture takes {needed} at once, and {left} are to be had");
    if left >= needed {
        return Ok(Finding::ok("connections", text));
    }
    let hint = "lower recoveryPoint.fresh.jobs and sandbox.local.verifyJobs, or raise \
                max_connections or the connection limit of the user or database";
    Ok(Finding::error("connections", text).hint(hint))
}

/// Time limits that somebody has set for this user or server. Our own sessions
/// and `pg_dump`'s lift them.
async fn limits(looked: &Looked<'_>) -> Result<Vec<Finding>, Failure> {
    let sql = "select name || ' = ' || reset_val || coalesce(unit, '') from pg_settings \
               where name in ('statement_timeout', 'idle_in_transaction_session_timeout', \
                              'transaction_timeout', 'idle_session_timeout', 'lock_timeout') \
                 and reset_val <> '0' order by 1";
    let rows = looked
        .session
        .rows("look at the time limits", sql, &[])
        .await?;
    let set: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let text = if set.is_empty() {
        "none cuts a capture off".to_owned()
    } else {
        format!(
            "{} does not apply: a capture's sessions lift it",
            first_few(&set)
        )
    };
    Ok(vec![Finding::ok("time limits", text)])
}

async fn standby(looked: &Looked<'_>) -> Result<Vec<Finding>, Failure> {
    let sql = "select current_setting('hot_standby_feedback') = 'on', \
               (select count(*) from pg_class where relpersistence = 'u' and relkind = 'r')";
    let row = looked.session.row("look at the standby", sql, &[]).await?;
    let mut findings = Vec::new();
    if row.get(0) {
        let text = "the source is a standby, and keeps what a dump reads";
        findings.push(Finding::ok("standby", text));
    } else {
        let text = "the source is a standby without hot_standby_feedback: a long dump may be \
                    cancelled by what the primary cleans up";
        let hint = "set hot_standby_feedback = on at the standby, or raise \
                    max_standby_streaming_delay";
        findings.push(Finding::warning("standby", text).hint(hint));
    }
    let unlogged: i64 = row.get(1);
    if unlogged > 0 {
        let text = format!("{unlogged} unlogged tables have no content on a standby");
        findings.push(Finding::warning("unlogged tables", text));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_or_changing_backends_mean_a_pooler() {
        assert!(!is_pooled(1, 2, 1));
        assert!(is_pooled(1, 1, 1));
        assert!(is_pooled(1, 2, 2));
    }
}
