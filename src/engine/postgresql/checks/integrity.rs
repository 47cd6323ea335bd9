//! The engine's own integrity checks: amcheck over indexes and heaps, and the
//! failures that data checksums have counted.
//!
//! The extension is put into a schema of its own and taken out again. So this
//! runs after the inventory of the copy is taken.

use std::collections::VecDeque;

use futures_util::future::try_join_all;
use tokio::sync::Mutex;
use tokio_util::sync::DropGuard;

use crate::{
    domain::{
        check::{CheckKind, CheckResult, Finding},
        event::Unit,
        failure::{Failure, FailureKind},
    },
    engine::{
        Context,
        postgresql::{endpoint::ScratchCluster, error::failure, session::Session},
    },
    spec::drill::Integrity,
};

const NAME: &str = "integrity";
const KIND: CheckKind = CheckKind::Integrity;
const SCHEMA: &str = "\"lifeboat amcheck\"";

/// How many broken tuples of one table are told.
const MOST_TUPLES: i64 = 3;

/// What to check, largest first. What lies in a TOAST table belongs to the
/// table whose long values are there.
const TARGETS: &str = "
    SELECT t.oid, CASE WHEN o.oid IS NULL THEN format('%I.%I', n.nspname, t.relname)
        ELSE format('%I.%I (TOAST)', m.nspname, o.relname) END, t.is_index
    FROM (
        SELECT i.oid, i.relname, i.relnamespace, true AS is_index, i.relpages, x.indrelid AS heap
        FROM pg_index x
        JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_am a ON a.oid = i.relam
        WHERE a.amname = 'btree' AND i.relkind = 'i' AND x.indisvalid AND x.indisready
            AND i.relpersistence <> 't' AND ($1 OR i.oid >= 16384)
        UNION ALL
        SELECT c.oid, c.relname, c.relnamespace, false, c.relpages, c.oid
        FROM pg_class c
        JOIN pg_am a ON a.oid = c.relam
        WHERE $2 AND a.amname = 'heap' AND c.relkind IN ('r', 'm', 't')
            AND c.relpersistence <> 't' AND ($1 OR c.oid >= 16384)
    ) t
    JOIN pg_namespace n ON n.oid = t.relnamespace
    LEFT JOIN pg_class o ON o.reltoastrelid = t.heap
    LEFT JOIN pg_namespace m ON m.oid = o.relnamespace
    ORDER BY t.relpages DESC, t.oid";

/// One index or table.
struct Target {
    oid: u32,
    name: String,
    index: bool,
}

/// How the extension's functions are called.
struct Amcheck {
    schema: String,
    version: u32,
    depth: Integrity,
    /// Whether it was put there by this check.
    ours: bool,
}

/// Checks every B-tree and, from version 14 on, every heap.
///
/// An index cannot be divided, so near the end connections have nothing to
/// do: `busy` is dropped then, for other work to begin.
///
/// # Errors
/// If the copy can't be reached, or a check was cancelled.
pub async fn check(
    cx: &Context,
    cluster: &ScratchCluster,
    depth: Integrity,
    jobs: usize,
    busy: DropGuard,
) -> Result<CheckResult, Failure> {
    if depth == Integrity::Off {
        return Ok(super::untested(NAME, KIND, "switched off in the drill"));
    }
    let session = open(cx, cluster).await?;
    let amcheck = match install(&session, cluster.version_num, depth).await {
        Ok(amcheck) => amcheck,
        Err(failure) => {
            let major = cluster.version_num / 10_000;
            let reason = format!(
                "{}; amcheck comes with the contrib package of PostgreSQL {major}",
                failure.message
            );
            return Ok(super::untested(NAME, KIND, reason));
        }
    };
    let targets = targets(&session, cluster.version_num, depth).await?;
    let (indexes, total) = (targets.iter().filter(|t| t.index).count(), targets.len());
    let findings = check_all(cx, cluster, &amcheck, targets, jobs, busy).await;
    if amcheck.ours {
        let sql = format!("DROP SCHEMA {SCHEMA} CASCADE");
        session.batch("remove amcheck", &sql).await?;
    }
    let mut findings = findings?;
    let (checksums, failures) = checksums(&session).await?;
    // A damaged page that was found by name counts here, too: not twice.
    if failures > 0 && findings.is_empty() {
        let message = format!("{failures} pages failed their checksum since the copy was started");
        findings.push(Finding::error("the data files", message));
    }
    let summary = format!(
        "{indexes} indexes and {} tables checked{}, data checksums {checksums}",
        total - indexes,
        match depth {
            Integrity::Full => ", every row looked up in every index",
            _ => "",
        }
    );
    Ok(super::concluded(NAME, KIND, summary, findings))
}

/// With the database's own settings, under which its indexes were built: the
/// server takes some functions for immutable whose results hang on them.
async fn open(cx: &Context, cluster: &ScratchCluster) -> Result<Session, Failure> {
    let session = Session::open(&cluster.endpoint(), cx.run).await?;
    let sql = "RESET bytea_output; RESET extra_float_digits; RESET DateStyle; \
               RESET IntervalStyle; RESET TimeZone; RESET lc_monetary; RESET xmloption";
    session.batch("take the database's settings", sql).await?;
    Ok(session)
}

async fn install(session: &Session, version: u32, depth: Integrity) -> Result<Amcheck, Failure> {
    const DOING: &str = "cannot install amcheck in the copy";
    // Event triggers of the restored database must not run.
    session
        .batch(DOING, "SET session_replication_role = replica")
        .await?;
    let sql = "SELECT format('%I', n.nspname) FROM pg_extension e \
               JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'";
    let existing = session.rows(DOING, sql, &[]).await?;
    let ours = existing.is_empty();
    if ours {
        let sql = format!("CREATE SCHEMA {SCHEMA}; CREATE EXTENSION amcheck SCHEMA {SCHEMA}");
        session.batch(DOING, &sql).await?;
    }
    let schema = existing
        .first()
        .map_or_else(|| SCHEMA.to_owned(), |row| row.get(0));
    Ok(Amcheck {
        schema,
        version,
        depth,
        ours,
    })
}

async fn targets(
    session: &Session,
    version: u32,
    depth: Integrity,
) -> Result<Vec<Target>, Failure> {
    let (system, heaps) = (depth == Integrity::Full, version >= 140_000);
    let rows = session
        .rows("list what to check", TARGETS, &[&system, &heaps])
        .await?;
    let target = |row: &tokio_postgres::Row| Target {
        oid: row.get(0),
        name: row.get(1),
        index: row.get(2),
    };
    Ok(rows.iter().map(target).collect())
}

/// Every worker takes the largest target that is left.
async fn check_all(
    cx: &Context,
    cluster: &ScratchCluster,
    amcheck: &Amcheck,
    targets: Vec<Target>,
    jobs: usize,
    busy: DropGuard,
) -> Result<Vec<Finding>, Failure> {
    let total = targets.len();
    let workers = jobs.clamp(1, total.max(1));
    let queue = Mutex::new((VecDeque::from(targets), Some(busy)));
    let work = async || -> Result<Vec<Finding>, Failure> {
        let session = open(cx, cluster).await?;
        let mut findings = Vec::new();
        loop {
            let (target, left) = {
                let (queue, busy) = &mut *queue.lock().await;
                if queue.is_empty() {
                    *busy = None;
                }
                (queue.pop_front(), queue.len())
            };
            let Some(target) = target else {
                return Ok(findings);
            };
            findings.extend(amcheck.check(&session, &target).await?);
            cx.progress(
                "integrity",
                (total - left) as u64,
                total as u64,
                Unit::Items,
            );
        }
    };
    let found = try_join_all((0..workers).map(|_| work()));
    let found = tokio::select! {
        found = found => found?,
        () = cx.cancel.cancelled() => {
            return Err(Failure::new(FailureKind::Cancelled, "integrity was stopped on request"));
        }
    };
    Ok(found.into_iter().flatten().collect())
}

impl Amcheck {
    async fn check(&self, session: &Session, target: &Target) -> Result<Vec<Finding>, Failure> {
        let answer = session
            .client()
            .query(&self.sql(target), &[&target.oid])
            .await;
        let class = if target.index { "index" } else { "table" };
        let subject = format!("{class} {}", target.name);
        match answer {
            Ok(rows) if target.index => {
                drop(rows);
                Ok(Vec::new())
            }
            Ok(rows) => Ok(rows
                .iter()
                .map(|row| Finding::error(&subject, row.get::<_, String>(0)))
                .collect()),
            Err(error) => {
                let failure = failure("amcheck", &error);
                match failure.kind {
                    FailureKind::Timeout
                    | FailureKind::Unavailable
                    | FailureKind::Cancelled
                    | FailureKind::Exhausted => Err(failure.context(subject)),
                    _ => Ok(vec![Finding::error(subject, failure.message)]),
                }
            }
        }
    }

    fn sql(&self, target: &Target) -> String {
        let schema = &self.schema;
        if !target.index {
            return format!(
                "SELECT format('block %s, tuple %s: %s', blkno, offnum, msg) \
                 FROM {schema}.verify_heapam(relation => $1::oid) LIMIT {MOST_TUPLES}"
            );
        }
        let all = self.depth == Integrity::Full;
        let unique = if all && self.version >= 170_000 {
            ", checkunique => true"
        } else {
            ""
        };
        format!(
            "SELECT {schema}.bt_index_check(index => $1::oid, heapallindexed => {all}{unique})::text"
        )
    }
}

/// Whether pages carry checksums, and how many have failed.
async fn checksums(session: &Session) -> Result<(String, i64), Failure> {
    let sql = "SELECT current_setting('data_checksums'), coalesce(sum(checksum_failures), 0)::bigint \
               FROM pg_stat_database WHERE datname IS NULL OR datname = current_database()";
    let row = session.row("read the checksum failures", sql, &[]).await?;
    Ok((row.get(0), row.get(1)))
}
