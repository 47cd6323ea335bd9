//! A file with several drills. Runs the real binary.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::world::{SqliteFile, World, signal, text};

fn names(results: &Value) -> Vec<&str> {
    let results = results.as_array().unwrap().iter();
    results.map(|one| one["drill"].as_str().unwrap()).collect()
}

/// Writes a file of two drills, and gives its name.
fn both(world: &World<SqliteFile>, first: &str, second: &str) -> String {
    let path = world.path("both.yaml");
    std::fs::write(&path, format!("{first}---\n{second}")).unwrap();
    path.display().to_string()
}

#[test]
fn every_drill_of_a_file_is_checked_and_run() {
    let world = World::new(SqliteFile::make);
    let file = both(
        &world,
        &world.document("one", ""),
        &world.document("two", ""),
    );
    for command in [&["check", &file][..], &["run", &file]] {
        let output = world.lifeboat(command).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let results: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(names(&results), ["one", "two"]);
    }
    world.is_clean(2);
}

#[test]
fn a_mistake_in_any_drill_of_a_file_keeps_all_from_being_run() {
    let world = World::new(SqliteFile::make);
    let wrong = world.document("two", "  sandbx: {}\n");
    let file = both(&world, &world.document("one", ""), &wrong);
    let output = world.lifeboat(&["run", &file]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("sandbx"), "{}", text(&output));
    world.is_clean(0);
}

#[test]
fn a_drill_that_runs_already_does_not_keep_the_others_from_it() {
    let world = World::new(SqliteFile::make);
    world.drill("app", crate::kill::SLOW);
    let running = world.run_drill().spawn().unwrap();
    world.until_running();
    let file = both(
        &world,
        &world.document("app", ""),
        &world.document("two", ""),
    );
    let output = world.lifeboat(&["run", &file]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("drill app is already running"), "{told}");
    let results: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(names(&results), ["two"]);
    signal(&running, Signal::SIGINT);
    running.wait_with_output().unwrap();
    world.is_clean(2);
}

#[test]
fn one_report_is_not_written_over_another() {
    let world = World::new(SqliteFile::make);
    let file = both(
        &world,
        &world.document("one", ""),
        &world.document("two", ""),
    );
    let report = world.path("report.html").display().to_string();
    let output = world
        .lifeboat(&["run", &file, "--report", &report])
        .output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    world.is_clean(0);
}
