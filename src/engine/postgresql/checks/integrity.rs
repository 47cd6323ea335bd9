//! The engine's own integrity checks: amcheck over indexes and heaps, the pages
//! of what amcheck does not know, and the failures that data checksums have
//! counted.
//!
//! The extensions are put into a schema of their own and taken out again. So
//! this runs after the inventory of the copy is taken.

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
const AMCHECK: &str = "amcheck";
const PREWARM: &str = "pg_prewarm";

/// How many broken tuples of one table are told.
const MOST_TUPLES: i64 = 3;

/// What to check, largest first: what amcheck knows, and what has to be read
/// page by page. What lies in a TOAST table belongs to the table whose long
/// values are there.
const TARGETS: &str = "
    SELECT t.oid, CASE WHEN o.oid IS NULL THEN format('%I.%I', n.nspname, t.relname)
        ELSE format('%I.%I (TOAST)', m.nspname, o.relname) END, t.is_index, t.is_known
    FROM (
        SELECT i.oid, i.relname, i.relnamespace, true AS is_index, i.relpages, x.indrelid AS heap,
            a.amname = 'btree' AND x.indisvalid AND x.indisready AS is_known
        FROM pg_index x
        JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_am a ON a.oid = i.relam
        WHERE i.relkind = 'i' AND i.relpersistence <> 't' AND ($1 OR i.oid >= 16384)
        UNION ALL
        SELECT c.oid, c.relname, c.relnamespace, false, c.relpages, c.oid, $2::bool
        FROM pg_class c
        JOIN pg_am a ON a.oid = c.relam
        WHERE a.amname = 'heap' AND c.relkind IN ('r', 'm', 't')
            AND c.relpersistence <> 't' AND ($1 OR c.oid >= 16384)
    ) t
    JOIN pg_namespace n ON n.oid = t.relnamespace
    LEFT JOIN pg_class o ON o.reltoastrelid = t.heap
    LEFT JOIN pg_namespace m ON m.oid = o.relnamespace
    WHERE t.is_known OR $3
    ORDER BY t.relpages DESC, t.oid";

/// One index or table.
struct Target {
    oid: u32,
    name: String,
    index: bool,
    /// Whether amcheck knows it; else its pages are read.
    known: bool,
}

/// How the extensions' functions are called.
struct Amcheck {
    schema: String,
    /// The schema of `pg_prewarm`, where pages are read.
    prewarm: Option<String>,
    version: u32,
    depth: Integrity,
}

/// Checks every B-tree and, from version 14 on, every heap. In full depth the
/// pages of everything else are read, so that their checksums are looked at.
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
    let targets = targets(&session, &amcheck).await?;
    let counted = Counted::of(&targets, &amcheck);
    let findings = check_all(cx, cluster, &amcheck, targets, jobs, busy).await;
    let sql = format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE");
    session
        .batch("remove the extensions of the check", &sql)
        .await?;
    let mut findings = findings?;
    let (checksums, failures) = checksums(&session).await?;
    // A damaged page that was found by name counts here, too: not twice.
    if failures > 0 && findings.is_empty() {
        let message = format!("{failures} pages failed their checksum since the copy was started");
        findings.push(Finding::error("the data files", message));
    }
    let summary = format!("{counted}, data checksums {checksums}");
    Ok(super::concluded(NAME, KIND, summary, findings))
}

/// What is looked at, for the summary.
struct Counted {
    indexes: usize,
    tables: usize,
    pages: usize,
    depth: Integrity,
    reads_pages: bool,
}

impl Counted {
    fn of(targets: &[Target], amcheck: &Amcheck) -> Self {
        let count = |wanted: &dyn Fn(&&Target) -> bool| targets.iter().filter(wanted).count();
        Self {
            indexes: count(&|target| target.known && target.index),
            tables: count(&|target| target.known && !target.index),
            pages: count(&|target| !target.known),
            depth: amcheck.depth,
            reads_pages: amcheck.prewarm.is_some(),
        }
    }
}

impl std::fmt::Display for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (indexes, tables) = (self.indexes, self.tables);
        write!(f, "{indexes} indexes and {tables} tables checked")?;
        if self.depth != Integrity::Full {
            return Ok(());
        }
        f.write_str(", every row looked up in every index")?;
        match (self.reads_pages, self.pages) {
            (false, _) => f.write_str(", pages of other indexes not read: there is no pg_prewarm"),
            (true, 0) => Ok(()),
            (true, pages) => write!(f, ", all pages read of {pages} others"),
        }
    }
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
    // Event triggers of the restored database must not run.
    session
        .batch(DOING, "SET session_replication_role = replica")
        .await?;
    let schema = extension(session, AMCHECK).await?;
    let prewarm = match depth {
        Integrity::Full => extension(session, PREWARM).await.ok(),
        _ => None,
    };
    Ok(Amcheck {
        schema,
        prewarm,
        version,
        depth,
    })
}

const DOING: &str = "cannot install an extension in the copy";

/// The schema that an extension is in, or is put into now.
async fn extension(session: &Session, name: &str) -> Result<String, Failure> {
    let sql = "SELECT format('%I', n.nspname) FROM pg_extension e \
               JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = $1::text";
    let existing = session.rows(DOING, sql, &[&name]).await?;
    if let Some(row) = existing.first() {
        return Ok(row.get(0));
    }
    let sql =
        format!("CREATE SCHEMA IF NOT EXISTS {SCHEMA}; CREATE EXTENSION {name} SCHEMA {SCHEMA}");
    session.batch(DOING, &sql).await?;
    Ok(SCHEMA.to_owned())
}

async fn targets(session: &Session, amcheck: &Amcheck) -> Result<Vec<Target>, Failure> {
    let system = amcheck.depth == Integrity::Full;
    let (heaps, pages) = (amcheck.version >= 140_000, amcheck.prewarm.is_some());
    let rows = session
        .rows("list what to check", TARGETS, &[&system, &heaps, &pages])
        .await?;
    let target = |row: &tokio_postgres::Row| Target {
        oid: row.get(0),
        name: row.get(1),
        index: row.get(2),
        known: row.get(3),
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
            Ok(rows) if target.index || !target.known => {
                drop(rows);
                Ok(Vec::new())
            }
            Ok(rows) => Ok(rows
                .iter()
                .map(|row| Finding::error(&subject, row.get::<_, String>(0)))
                .collect()),
            Err(error) => {
                let by = if target.known { AMCHECK } else { PREWARM };
                let failure = failure(by, &error);
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
        if let (false, Some(prewarm)) = (target.known, &self.prewarm) {
            // Other ways of reading than into a buffer look at no checksum.
            return format!("SELECT {prewarm}.pg_prewarm($1::oid::regclass, 'buffer')::text");
        }
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
