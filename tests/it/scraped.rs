//! All that the page of metrics promises, told by a real service. Runs the real
//! binary.

use std::collections::BTreeSet;

use crate::{
    alerts::{Prometheus, asked_by_the_dashboard},
    support::{
        served::{Served, put, with_schedule},
        until,
        world::{SqliteFile, World},
    },
};

/// Only a copy with canary writes can have lost any: `metrics.rs` reads it of one.
const OF_CANARIES: &str = "lifeboat_drill_acknowledged_writes_lost";

/// The names in `docs/metrics.md`, which is written by the code.
fn promised() -> BTreeSet<String> {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let page = std::fs::read_to_string(file).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()));
    names.collect()
}

/// The names of which a page has any series.
fn told(served: &Served) -> BTreeSet<String> {
    let (status, page) = served.ask("GET", "/metrics");
    assert_eq!(status, 200, "{page}");
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let names = samples.map(|line| line.split(['{', ' ']).next().unwrap());
    let whole = |name: &str| name.strip_suffix("_count").unwrap_or(name).to_owned();
    names.map(whole).collect()
}

/// Drills of every kind: one that runs each second and has no room at times, one of
/// backups that others make, one that is suspended, and a file that is broken.
fn drills(world: &World<SqliteFile>) {
    let objectives = "  objectives: { rto: 5m, rpo: 1h }\n";
    for name in ["app", "bank"] {
        with_schedule(world, name, "cron: '* * * * * *'", objectives);
    }
    with_schedule(world, "asleep", "cron: '@hourly', suspended: true", "");
    let existing = "  recoveryPoint: { existing: { path: '../backups/*.db' } }\n  \
                    objectives: { rpo: 1h }\n  \
                    schedule: { afterEachBackup: { lookEvery: 1s } }\n";
    let text = world.document("backups", existing);
    let text = text.replace("file: app.db", "file: ../app.db");
    put(&world.path("drills"), "backups.yaml", &text);
    put(&world.path("drills"), "broken.yaml", "kind: Drill\n");
    std::fs::create_dir(world.path("backups")).unwrap();
    let older = world.path("backups/older.db");
    std::fs::copy(world.path("app.db"), older).unwrap();
}

/// One with all of these.
fn serving(world: &World<SqliteFile>) -> Served {
    drills(world);
    let nobody = "- name: ops\n  on: [every]\n  \
                  webhook: { url: 'http://127.0.0.1:9/', allowPrivate: true }\n";
    let targets = put(&world.path("etc"), "notify.yaml", nobody);
    let targets = targets.display().to_string();
    let options = ["--max-runs", "1", "--notify", &targets];
    let served = Served::start(world, &options);
    let newer = world.path("backups/newer.db");
    std::fs::copy(world.path("app.db"), newer).unwrap();
    served
}

#[test]
fn a_service_tells_all_that_the_page_promises() {
    let world = World::new(SqliteFile::make);
    let served = serving(&world);
    let mut wanted = promised();
    assert!(
        wanted.remove(OF_CANARIES) && wanted.len() > 30,
        "{wanted:?}"
    );
    until("all is told", || wanted.is_subset(&told(&served)));
    for (series, value) in [
        ("lifeboat_drills", 4.0),
        ("lifeboat_drill_files_broken", 1.0),
        ("lifeboat_drill_suspended{drill=\"asleep\"}", 1.0),
        ("lifeboat_drill_suspended{drill=\"app\"}", 0.0),
        ("lifeboat_drill_backup_found{drill=\"backups\"}", 1.0),
        ("lifeboat_drill_rto_target_seconds{drill=\"app\"}", 300.0),
        ("lifeboat_drill_rpo_target_seconds{drill=\"app\"}", 3_600.0),
        ("lifeboat_drill_interval_seconds{drill=\"app\"}", 1.0),
        ("lifeboat_sweep_leaks", 0.0),
        ("lifeboat_sweep_places_unseen", 0.0),
    ] {
        assert_eq!(served.metric(series), Some(value), "{series}");
    }
    let known: BTreeSet<_> = promised();
    let unknown: Vec<_> = told(&served)
        .into_iter()
        .map(|name| name.trim_end_matches("_bucket").to_owned())
        .map(|name| name.trim_end_matches("_sum").to_owned())
        .filter(|name| !known.contains(name))
        .collect();
    assert_eq!(unknown, [""; 0], "what is told is not in the docs");
}

/// A real Prometheus has something to show in each panel, and can tell of each rule.
#[test]
fn every_panel_has_something_to_show() {
    let world = World::new(SqliteFile::make);
    let served = serving(&world);
    let prometheus = Prometheus::start(&world.path("prometheus"), &served.address);
    for (title, expr) in asked_by_the_dashboard() {
        if !expr.contains(OF_CANARIES) {
            until(&title, || prometheus.series(&expr) > 0);
        }
    }
    // That of growth is looked at seldom.
    let rules = || {
        let mut rules = prometheus.rules();
        rules.retain(|(name, _)| name != "LifeboatGrowthWillCrossTarget");
        rules
    };
    until("each rule was looked at", || {
        let rules = rules();
        rules.len() > 10 && rules.iter().all(|(_, health)| health != "unknown")
    });
    for (rule, health) in rules() {
        assert_eq!(health, "ok", "{rule}");
    }
}
