//! Sweeps look wherever drills had their scratch directories. Runs the real
//! binary.

use std::path::Path;

use serde_json::Value;

use crate::{
    kill::SLOW,
    support::{
        served::{Served, put},
        until,
        world::{SqliteFile, World, entries, killed, text},
    },
};

/// The instant at which both directories of a run are there.
const BOTH_MADE: &str = "20";

/// A world with a dead run, whose scratch directories lie in `mine`. The drill
/// was named, and names its directory, as seen from the world.
fn with_dead_run() -> World<SqliteFile> {
    let world = World::new(SqliteFile::make);
    world.drill("app", "  sandbox: { local: { directory: mine } }\n");
    let mut run = world.lifeboat(&["run", "app.yaml"]);
    run.env("LIFEBOAT_TEST_KILL_AT", BOTH_MADE);
    let run = run.current_dir(world.path("")).output().unwrap();
    assert!(killed(&run), "{}", text(&run));
    assert_eq!(entries(&world.path("mine")).len(), 2);
    world
}

fn swept(world: &World<SqliteFile>, from: &Path) -> Value {
    let sweep = world.lifeboat(&["sweep"]).current_dir(from).output();
    let sweep = sweep.unwrap();
    assert!(sweep.status.success(), "{}", text(&sweep));
    serde_json::from_slice(&sweep.stdout).unwrap()
}

pub fn forget_runs(world: &World<SqliteFile>) {
    let history = rusqlite::Connection::open(world.path("state/history.db")).unwrap();
    let sql = "pragma foreign_keys = on; delete from runs";
    history.execute_batch(sql).unwrap();
}

#[test]
fn a_drills_own_directory_is_swept_from_anywhere() {
    let world = with_dead_run();
    let swept = swept(&world, Path::new("/"));
    assert_eq!(swept["runs"].as_array().unwrap().len(), 1, "{swept:#}");
    assert_eq!(swept["removed"], serde_json::json!([]), "{swept:#}");
    assert_eq!(entries(&world.path("mine")), [""; 0]);
    world.is_clean(1);
}

#[test]
fn a_drills_own_directory_is_swept_without_a_run_in_the_history() {
    let world = with_dead_run();
    forget_runs(&world);
    let swept = swept(&world, Path::new("/"));
    assert_eq!(swept["removed"].as_array().unwrap().len(), 2, "{swept:#}");
    assert_eq!(entries(&world.path("mine")), [""; 0]);
    world.is_clean(0);
}

#[test]
fn a_run_of_another_drill_sweeps_there_too() {
    let world = with_dead_run();
    forget_runs(&world);
    let other = world.drill("other", "").display().to_string();
    let run = world.lifeboat(&["run", &other]).output().unwrap();
    assert!(run.status.success(), "{}", text(&run));
    assert_eq!(entries(&world.path("mine")), [""; 0]);
}

#[test]
fn what_is_not_lifeboats_is_never_touched() {
    let world = with_dead_run();
    let mine = world.path("mine");
    let names = entries(&mine).into_iter();
    let sandbox = names.into_iter().find(|name| !name.contains('.')).unwrap();
    let marker = std::fs::read(mine.join(&sandbox).join(".lifeboat-run")).unwrap();
    // Somebody's own; somebody's copy of a labelled one; one that only has a
    // name like ours; one of another user.
    for name in [
        "data",
        "copy-of-it",
        "lb-0123456789ab",
        &format!("{sandbox}.point.bak"),
    ] {
        std::fs::create_dir(mine.join(name)).unwrap();
        std::fs::write(mine.join(name).join("precious"), name).unwrap();
    }
    std::fs::write(mine.join("copy-of-it/.lifeboat-run"), &marker).unwrap();
    std::fs::write(
        mine.join(format!("{sandbox}.point.bak/.lifeboat-run")),
        &marker,
    )
    .unwrap();
    std::fs::write(mine.join("lb-file"), "precious").unwrap();
    let mut before = entries(&mine);
    before.retain(|name| *name != sandbox && *name != format!("{sandbox}.point"));
    before.sort();

    forget_runs(&world);
    let swept = swept(&world, Path::new("/"));
    assert_eq!(swept["removed"].as_array().unwrap().len(), 2, "{swept:#}");
    assert_eq!(swept["leaks"], serde_json::json!([]), "{swept:#}");
    let mut after = entries(&mine);
    after.sort();
    assert_eq!(after, before);
    assert!(mine.join("copy-of-it/precious").exists());
}

#[test]
fn a_place_that_cannot_be_looked_at_is_told_and_the_rest_swept() {
    let world = with_dead_run();
    world.sweep();
    let other = world.drill("other", "").display().to_string();
    let mut run = world.lifeboat(&["run", &other]);
    let run = run
        .env("LIFEBOAT_TEST_KILL_AT", BOTH_MADE)
        .output()
        .unwrap();
    assert!(killed(&run), "{}", text(&run));
    forget_runs(&world);
    std::fs::remove_dir_all(world.path("mine")).unwrap();
    std::fs::write(world.path("mine"), "a file by now").unwrap();

    let sweep = world.lifeboat(&["sweep"]).output().unwrap();
    assert_eq!(sweep.status.code(), Some(3), "{}", text(&sweep));
    let told: Value = serde_json::from_slice(&sweep.stdout).unwrap();
    let place = world.path("mine").display().to_string();
    let message = told["unseen"][0]["message"].as_str().unwrap();
    assert!(message.contains(&place), "{told:#}");
    assert_eq!(told["removed"].as_array().unwrap().len(), 2, "{told:#}");
    assert_eq!(world.scratch(), [""; 0]);
}

#[test]
fn a_service_sweeps_again_and_again_and_spares_what_is_alive() {
    let world = with_dead_run();
    forget_runs(&world);
    // What is dead comes to light later.
    let (mine, aside) = (world.path("mine"), world.path("aside"));
    std::fs::rename(&mine, &aside).unwrap();
    std::fs::create_dir(&mine).unwrap();
    let place = "  sandbox: { local: { directory: ../mine } }\n";
    let slow = world.document("slow", &format!("{place}{SLOW}"));
    let slow = slow.replace("file: app.db", "file: ../app.db");
    put(&world.path("drills"), "slow.yaml", &slow);
    let served = Served::start(&world, &["--sweep-every", "1s"]);
    let run = served.promised("slow");
    until("the run's copy is there", || {
        let run = served.get(&format!("/api/v1/runs/{run}"));
        let steps = run["steps"].as_array().unwrap();
        steps.iter().any(|step| step["step"] == "serve")
    });
    let mut live = entries(&mine);
    live.sort();
    assert!(!live.is_empty());
    let removed = || served.metric("lifeboat_sweep_removed_total").unwrap();
    assert_eq!(removed().to_bits(), 0_f64.to_bits());
    let dead = entries(&aside);
    for name in &dead {
        std::fs::rename(aside.join(name), mine.join(name)).unwrap();
    }
    until("what is dead is gone", || {
        dead.iter().all(|name| !mine.join(name).exists())
    });
    until("it is counted", || removed() >= 2.0);
    let sweep = || served.metric("lifeboat_last_sweep_timestamp_seconds");
    let before = sweep();
    until("it has swept once more", || sweep() > before);
    let mut left = entries(&mine);
    left.sort();
    assert_eq!(left, live);
    assert_eq!(removed().to_bits(), 2_f64.to_bits());
    let path = format!("/api/v1/runs/{run}");
    assert_eq!(served.ask("POST", &format!("{path}/cancel")).0, 202);
    until("the run has ended", || {
        served.get(&path)["finished_at"].is_string()
    });
    assert_eq!(served.get(&path)["cleanup"]["state"], "clean");
    assert_eq!(entries(&mine), [""; 0]);
}
