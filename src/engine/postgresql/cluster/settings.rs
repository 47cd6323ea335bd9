//! The settings of the scratch server: the source's where they matter to the
//! time of a restore, within what this machine has.

use std::{collections::BTreeMap, fs};

use crate::{
    domain::{
        failure::Failure,
        record::{Profile, SourceFacts},
    },
    engine::postgresql::{PostgresEngine, session::Session},
};

/// What keeps a copy from acting for production, and its log in one place.
pub(super) const FORCED: [(&str, &str); 15] = [
    ("archive_mode", "off"),
    ("archive_command", "/bin/false"),
    ("restore_command", ""),
    ("primary_conninfo", ""),
    ("max_logical_replication_workers", "0"),
    ("max_wal_senders", "0"),
    ("shared_preload_libraries", ""),
    ("session_preload_libraries", ""),
    ("listen_addresses", ""),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("log_min_error_statement", "panic"),
    ("lc_messages", "C"),
    ("ssl", "off"),
    ("jit", "off"),
];

/// Set for each cluster, beside [`FORCED`].
const FORCED_BY_PLACE: [&str; 2] = ["unix_socket_directories", "port"];

/// What is copied from the source.
const COPIED: [&str; 20] = [
    "autovacuum",
    "checkpoint_completion_target",
    "checkpoint_timeout",
    "default_toast_compression",
    "effective_io_concurrency",
    "fsync",
    "full_page_writes",
    "maintenance_io_concurrency",
    "maintenance_work_mem",
    "max_locks_per_transaction",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "max_wal_size",
    "max_worker_processes",
    "min_wal_size",
    "shared_buffers",
    "synchronous_commit",
    "wal_compression",
    "wal_level",
    "work_mem",
];

/// The share of this machine's memory that buffers, and that all the sorts of
/// index builds together, may take.
const MEMORY_SHARE: u64 = 4;

/// What to write into the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub settings: BTreeMap<String, String>,
    pub notes: Vec<String>,
}

/// Chooses the settings, without [`FORCED`].
pub(super) fn plan(engine: &PostgresEngine, source: Option<&SourceFacts>) -> Plan {
    let mut plan = Plan::default();
    if let Some(source) = source {
        for name in COPIED {
            if let Some(value) = source.settings.get(name) {
                plan.settings.insert(name.to_owned(), value.clone());
            }
        }
    }
    if let Some(memory) = memory_bytes() {
        let share = memory / MEMORY_SHARE;
        let jobs = u64::from(engine.sandbox.restore_jobs.max(1));
        cap(&mut plan.settings, "shared_buffers", share);
        cap(&mut plan.settings, "maintenance_work_mem", share / jobs);
    }
    if engine.profile == Profile::FastValidate {
        for name in ["fsync", "full_page_writes", "synchronous_commit"] {
            plan.settings.insert(name.to_owned(), "off".to_owned());
        }
    }
    for (name, value) in &engine.sandbox.settings {
        let name = name.to_lowercase();
        if is_forced(&name) {
            plan.notes.push(format!(
                "setting {name} of the sandbox is not used: a copy must not act for production"
            ));
        } else {
            plan.settings.insert(name, value.clone());
        }
    }
    plan
}

fn is_forced(name: &str) -> bool {
    FORCED.iter().any(|(forced, _)| *forced == name) || FORCED_BY_PLACE.contains(&name)
}

fn cap(settings: &mut BTreeMap<String, String>, name: &str, most: u64) {
    if let Some(value) = settings.get_mut(name)
        && parse_bytes(value).is_some_and(|bytes| bytes > most)
    {
        *value = format!("{}kB", most / 1024);
    }
}

/// A size as `current_setting` writes it, such as `128MB`.
fn parse_bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let factor: u64 = match unit.trim() {
        "B" => 1,
        "kB" => 1 << 10,
        "MB" => 1 << 20,
        "GB" => 1 << 30,
        "TB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// This machine's memory, by `MemTotal` of proc(5)'s meminfo.
fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Those of `names` that the server knows, as it writes them.
async fn values(session: &Session, names: &str) -> Result<BTreeMap<String, String>, Failure> {
    let query = "select name, coalesce(case when source in ('session', 'client') \
                 then reset_val else current_setting(name) end, '') \
                 from pg_settings where name = any(string_to_array($1, ','))";
    let doing = "read the settings of the scratch server";
    let rows = session.rows(doing, query, &[&names]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// The settings that matter to the time of a restore, as they are in force.
pub(in crate::engine::postgresql) async fn in_force(
    session: &Session,
) -> Result<BTreeMap<String, String>, Failure> {
    values(session, &COPIED.join(",")).await
}

/// What differs from the source, as `name: source -> copy`.
pub(super) async fn changed(
    session: &Session,
    source: Option<&SourceFacts>,
) -> Result<Vec<String>, Failure> {
    let Some(source) = source else {
        return Ok(Vec::new());
    };
    let names: Vec<_> = source.settings.keys().map(String::as_str).collect();
    let ours = values(session, &names.join(",")).await?;
    let differing = source.settings.iter().filter_map(|(name, theirs)| {
        let ours = ours.get(name)?;
        (ours != theirs).then(|| format!("{name}: {theirs} -> {ours}"))
    });
    Ok(differing.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_capped_and_small_ones_left_alone() {
        let mut settings = BTreeMap::from([
            ("shared_buffers".to_owned(), "64GB".to_owned()),
            ("maintenance_work_mem".to_owned(), "64MB".to_owned()),
        ]);
        cap(&mut settings, "shared_buffers", 1 << 30);
        cap(&mut settings, "maintenance_work_mem", 1 << 30);
        assert_eq!(settings["shared_buffers"], "1048576kB");
        assert_eq!(settings["maintenance_work_mem"], "64MB");
    }

    #[test]
    fn what_protects_production_is_forced() {
        for name in ["archive_mode", "listen_addresses", "port"] {
            assert!(is_forced(name), "{name}");
        }
        assert!(!is_forced("work_mem"));
    }
}
