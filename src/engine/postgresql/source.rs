//! Looking at the source: what it is, and what matters to a restore.

use std::collections::BTreeMap;

use tokio_postgres::Row;

use super::{PostgresEngine, session::Session};
use crate::{
    clock::Clock,
    domain::{failure::Failure, record::SourceFacts},
    engine::Context,
};

/// How often the source's clock is read; the quickest answer counts.
const CLOCK_READINGS: usize = 3;

pub(super) async fn inspect(
    engine: &PostgresEngine,
    cx: &Context,
) -> Result<Option<SourceFacts>, Failure> {
    let Some(endpoint) = engine.source_endpoint()? else {
        return Ok(None);
    };
    let session = Session::open(&endpoint, cx.run).await?;
    let row = session.row("look at the source", FACTS, &[]).await?;
    let mut details = details(&row);
    optional_details(&session, row.get("version_num"), &mut details).await;
    Ok(Some(SourceFacts {
        location: endpoint.location(),
        version: row.get("version"),
        size_bytes: unsigned(row.get("size")),
        clock_skew_ms: clock_skew(&session, &*cx.clock).await?,
        settings: settings(&session).await?,
        details,
    }))
}

const FACTS: &str = "\
    select split_part(current_setting('server_version'), ' ', 1) as version, \
           version() as version_full, \
           current_setting('server_version_num')::int4 as version_num, \
           pg_database_size(d.oid) as size, pg_is_in_recovery() as in_recovery, \
           pg_encoding_to_char(d.encoding)::text as encoding, \
           d.datcollate::text as collate, d.datctype::text as ctype, \
           (select count(*) from pg_class c where c.relkind in ('r', 'p') \
               and c.relnamespace in (select oid from pg_namespace \
                   where nspname !~ '^pg_' and nspname <> 'information_schema')) as tables, \
           (select string_agg(extname || ' ' || extversion, ', ' order by extname) \
               from pg_extension) as extensions \
    from pg_database d where d.datname = current_database()";

fn details(row: &Row) -> BTreeMap<String, String> {
    let text = |name: &str| row.get::<_, Option<String>>(name).unwrap_or_default();
    let mut details = BTreeMap::new();
    for name in ["version_full", "encoding", "collate", "ctype", "extensions"] {
        details.insert(name.to_owned(), text(name));
    }
    let version_num = row.get::<_, i32>("version_num").to_string();
    let tables = row.get::<_, i64>("tables").to_string();
    let in_recovery = row.get::<_, bool>("in_recovery").to_string();
    details.insert("version_num".to_owned(), version_num);
    details.insert("tables".to_owned(), tables);
    details.insert("in_recovery".to_owned(), in_recovery);
    details
}

/// By the catalogs' own estimate of pages: no table is locked for it.
const LARGEST: &str = "\
    select format('%I.%I', n.nspname, c.relname) as name, \
           (c.relpages::int8 * current_setting('block_size')::int8)::text as bytes \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace \
    where c.relkind in ('r', 'm') and c.relpages > 0 \
      and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' \
    order by c.relpages desc, 1 limit 1";

/// What a server may not know, or may not tell.
async fn optional_details(
    session: &Session,
    version_num: i32,
    details: &mut BTreeMap<String, String>,
) {
    let doing = "look at the source";
    if let Ok(rows) = session.rows(doing, LARGEST, &[]).await
        && let Some(row) = rows.first()
    {
        details.insert("largest_table".to_owned(), row.get("name"));
        details.insert("largest_table_bytes".to_owned(), row.get("bytes"));
    }
    let identifier = "select system_identifier::text from pg_control_system()";
    if let Ok(row) = session.row(doing, identifier, &[]).await {
        details.insert("system_identifier".to_owned(), row.get(0));
    }
    if let Ok(row) = session.row(doing, &locale_query(version_num), &[]).await {
        details.insert("locale_provider".to_owned(), row.get(0));
        if let Some(locale) = row.get(1) {
            details.insert("locale".to_owned(), locale);
        }
        if let Some(version) = row.get(2) {
            details.insert("collation_version".to_owned(), version);
        }
    }
}

/// Columns came with 15, and one was renamed in 17.
fn locale_query(version_num: i32) -> String {
    let columns = match version_num {
        ..150_000 => "'libc'::text, null::text, null::text",
        150_000..170_000 => "@, daticulocale::text, datcollversion::text",
        _ => "@, datlocale::text, datcollversion::text",
    };
    let provider = "case datlocprovider when 'i' then 'icu' when 'b' then 'builtin' \
                    else 'libc' end";
    format!(
        "select {} from pg_database where datname = current_database()",
        columns.replace('@', provider)
    )
}

/// Settings that are always told: they matter to restore time, to the data
/// loss of a crash, or to how values read.
const TOLD: &str = "\
    autovacuum,checkpoint_timeout,data_checksums,default_transaction_isolation,\
    effective_io_concurrency,fsync,full_page_writes,lc_collate,lc_ctype,lc_messages,lc_monetary,\
    lc_numeric,lc_time,maintenance_work_mem,max_connections,max_locks_per_transaction,\
    max_parallel_maintenance_workers,max_wal_size,max_worker_processes,server_encoding,\
    shared_buffers,shared_preload_libraries,synchronous_commit,track_commit_timestamp,\
    wal_compression,wal_level,work_mem,block_size,wal_segment_size,standard_conforming_strings";

/// Beside those, whatever somebody has set for the whole server and concerns
/// resources, log, planner and defaults. Left out are commands, connection
/// strings and settings of extensions and applications, which may hold
/// secrets. A setting that our own session has pinned is told as it was.
const SETTINGS: &str = "\
    select name, case when source in ('session', 'client') then reset_val \
                      else current_setting(name) end as value \
    from pg_settings \
    where name = any(string_to_array($1, ',')) \
       or (source in ('configuration file', 'command line', 'environment variable', 'global') \
           and category ~ '^(Resource Usage|Write-Ahead Log / (Settings|Checkpoints)|Query Tuning\
|Autovacuum|Vacuuming|Client Connection Defaults|Version and Platform Compatibility)' \
           and name !~ '(command|conninfo|passphrase|directory|_file|[.])')";

async fn settings(session: &Session) -> Result<BTreeMap<String, String>, Failure> {
    let rows = session
        .rows("read the source's settings", SETTINGS, &[&TOLD])
        .await?;
    let pair = |row: &Row| (row.get(0), row.get::<_, Option<_>>(1).unwrap_or_default());
    Ok(rows.iter().map(pair).collect())
}

/// The source's clock minus ours, in milliseconds. The source's clock was read
/// about half a round trip before the answer came, so the quickest answer is
/// the most exact one.
async fn clock_skew(session: &Session, clock: &dyn Clock) -> Result<i64, Failure> {
    let sql = "select (extract(epoch from clock_timestamp()) * 1000000)::int8";
    let mut best = None;
    for _ in 0..CLOCK_READINGS {
        let begun = clock.monotonic();
        let row = session.row("read the source's clock", sql, &[]).await?;
        let ours = clock.now().as_microsecond();
        let round_trip = clock.monotonic().saturating_sub(begun);
        if best.is_none_or(|(quickest, _)| round_trip < quickest) {
            let half = i64::try_from(round_trip.as_micros() / 2).unwrap_or(0);
            best = Some((round_trip, row.get::<_, i64>(0) - (ours - half)));
        }
    }
    Ok(best.map_or(0, |(_, micros)| micros / 1000))
}

fn unsigned(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}
