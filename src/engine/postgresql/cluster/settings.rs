//! The scratch server's settings: production's where they matter to the time
//! of a restore, the drill's own over them, and the ones that keep a copy from
//! acting for production last of all.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use super::broken;
use crate::{
    domain::{
        failure::Failure,
        record::{Profile, SourceFacts},
    },
    engine::postgresql::{PostgresEngine, session::Session},
};

/// Settings that change how long a restore takes.
const MATTER: &[&str] = &[
    "shared_buffers",
    "maintenance_work_mem",
    "work_mem",
    "max_wal_size",
    "min_wal_size",
    "checkpoint_timeout",
    "checkpoint_completion_target",
    "wal_compression",
    "wal_buffers",
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "max_parallel_maintenance_workers",
    "max_parallel_workers",
    "max_worker_processes",
    "effective_io_concurrency",
    "autovacuum",
    "default_toast_compression",
];

/// What no drill can change: see the invariant that a copy never acts for
/// production.
const FORCED: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("archive_mode", "off"),
    ("archive_command", "/bin/false"),
    ("restore_command", ""),
    ("primary_conninfo", ""),
    ("max_logical_replication_workers", "0"),
    ("shared_preload_libraries", ""),
    ("session_preload_libraries", ""),
    ("local_preload_libraries", ""),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("hot_standby", "off"),
    ("jit", "off"),
    ("ssl", "off"),
];

/// Writes the server's configuration.
pub(super) fn write(
    engine: &PostgresEngine,
    source: Option<&SourceFacts>,
    data: &Path,
    socket: &Path,
) -> Result<(), Failure> {
    let mut wanted: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in source.map(|source| &source.settings).into_iter().flatten() {
        if MATTER.contains(&name.as_str()) {
            wanted.insert(name.clone(), value.clone());
        }
    }
    if engine.profile == Profile::FastValidate {
        for name in ["fsync", "full_page_writes", "synchronous_commit"] {
            wanted.insert(name.to_owned(), "off".to_owned());
        }
    }
    wanted.extend(engine.sandbox.settings.clone());
    for (name, value) in FORCED {
        wanted.insert((*name).to_owned(), (*value).to_owned());
    }
    let directory = socket.display().to_string();
    wanted.insert("unix_socket_directories".to_owned(), directory);
    let mut text = String::new();
    for (name, value) in &wanted {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
    }
    append(&data.join("postgresql.conf"), &text)?;
    let path = data.join("pg_hba.conf");
    std::fs::write(&path, "local all all trust\n").map_err(|error| broken("write", &path, &error))
}

fn append(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| broken("write", path, &error))
}

/// The settings that matter as the server has them, and how they differ from
/// the source's.
pub(super) async fn compare(
    session: &Session,
    source: Option<&SourceFacts>,
) -> Result<(BTreeMap<String, String>, Vec<String>), Failure> {
    let names: Vec<&str> = MATTER.to_vec();
    let sql = "select name, current_setting(name) from pg_settings where name = any ($1)";
    let rows = session.rows("read the settings", sql, &[&names]).await?;
    let settings: BTreeMap<String, String> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let mut changed = Vec::new();
    for (name, ours) in &settings {
        let theirs = source.and_then(|source| source.settings.get(name));
        if let Some(theirs) = theirs.filter(|theirs| *theirs != ours) {
            changed.push(format!("{name}: {theirs} -> {ours}"));
        }
    }
    Ok((settings, changed))
}
