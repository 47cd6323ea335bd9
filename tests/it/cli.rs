//! Commands as people call them, and exit statuses. Runs the real binary.

use std::{
    fs,
    process::{Command, Output},
};

use lifeboat::cli::exit::Exit;
use serde_json::Value;

use crate::support::{
    records::{failed, inconclusive, interrupted, negative_control, passed},
    world::{SqliteFile, World, record, text},
};

/// A world whose drill was run once, and a drill `other` once.
fn with_two_runs() -> World<SqliteFile> {
    let world = World::new(SqliteFile::make);
    let other = world.drill("other", "").display().to_string();
    for mut run in [world.run_drill(), world.lifeboat(&["run", &other])] {
        let output = run.output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    world
}

/// What a command prints, once it ended with that status.
fn told(output: &Output, status: i32) -> String {
    assert_eq!(output.status.code(), Some(status), "{}", text(output));
    text(output)
}

fn people(world: &World<SqliteFile>, args: &[&str], status: i32) -> String {
    told(&world.lifeboat_for_people(args).output().unwrap(), status)
}

#[test]
fn every_end_has_its_exit_status() {
    let mut leaked = passed();
    leaked.cleanup = inconclusive().cleanup;
    let mut going_on = passed();
    going_on.verdict = None;
    for (record, status) in [
        (passed(), 0),
        (failed(), 1),
        (negative_control(), 1),
        (interrupted(), 3),
        (going_on, 3),
        (leaked, 4),
        (inconclusive(), 4),
    ] {
        assert_eq!(Exit::of(&record) as u8, status, "{:?}", record.reasons);
    }
}

#[test]
fn a_drill_whose_data_is_wrong_ends_with_1() {
    let world = World::new(SqliteFile::make);
    let three = "  checks: { rowCounts: [ { table: t, min: 3 } ] }\n";
    world.drill("app", three);
    let output = world.run_drill().output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(record(&output)["verdict"], "failed");
    world.is_clean(1);
}

#[test]
fn a_run_is_shown_by_latest_and_by_any_end_of_its_id() {
    let world = with_two_runs();
    let runs = world.runs();
    let ids = [&runs[0], &runs[1]].map(|run| run["id"].as_str().unwrap());
    let shown = |run: &str| -> Value {
        let output = world.lifeboat(&["show", run]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(shown("latest"), runs[0]);
    for (id, run) in ids.iter().zip(&runs) {
        for part in [id, &id[24..], &id[..23]] {
            assert_eq!(&shown(part), run, "{part}");
        }
        let page = people(&world, &["show", id], 0);
        assert!(page.contains(id) && page.contains("PASSED"), "{page}");
    }
    let several = people(&world, &["show", &ids[0][..1]], 3);
    assert!(several.contains("several runs fit"), "{several}");
    let none = people(&world, &["show", "nothing"], 3);
    assert!(none.contains("no run is called nothing"), "{none}");
}

#[test]
fn a_report_is_drawn_anew_where_it_is_asked_for() {
    let world = with_two_runs();
    let file = world.path("new/folder/run.html");
    let name = file.display().to_string();
    people(&world, &["show", "latest", "--html", &name], 0);
    let id = world.runs()[0]["id"].as_str().unwrap().to_owned();
    let kept = world.path("state/reports").join(format!("{id}.html"));
    assert_eq!(fs::read(file).unwrap(), fs::read(kept).unwrap());
}

#[test]
fn the_runs_of_one_drill_are_listed_alone() {
    let world = with_two_runs();
    let of = |drill: &str| people(&world, &["runs", "--drill", drill], 0);
    let both = people(&world, &["runs"], 0);
    assert!(both.contains("app") && both.contains("other"), "{both}");
    let other = of("other");
    assert!(other.contains("other") && !other.contains("app"), "{other}");
    assert_eq!(of("nothing").trim(), "no such runs");
}

#[test]
fn a_check_tells_people_what_it_tried() {
    let world = World::new(SqliteFile::make);
    let file = world.path("app.yaml").display().to_string();
    let found = people(&world, &["check", &file], 0);
    assert!(
        found.starts_with("app: the file is valid\n  ok "),
        "{found}"
    );
    let offline = people(&world, &["check", "--offline", &file], 0);
    assert!(offline.contains("preflight: untested"), "{offline}");
    fs::remove_file(world.path("app.db")).unwrap();
    let missing = people(&world, &["check", &file], 1);
    let line = missing.lines().find(|line| line.starts_with("  ERROR"));
    assert!(line.unwrap().contains("app.db"), "{missing}");
}

#[test]
fn doctor_looks_at_this_machine() {
    let world = World::new(SqliteFile::make);
    let found = people(&world, &["doctor"], 0);
    for subject in [
        "history",
        "scratch place",
        "account",
        "PostgreSQL",
        "leftovers",
    ] {
        assert!(found.contains(&format!("ok      {subject}: ")), "{found}");
    }
    fs::create_dir_all(world.path("state")).unwrap();
    fs::write(world.path("state/scratch"), "a file").unwrap();
    let found = people(&world, &["doctor"], 1);
    assert!(found.contains("ERROR   leftovers: "), "{found}");
}

#[test]
fn the_schema_is_the_one_in_the_docs() {
    let world = World::new(SqliteFile::make);
    let output = world.lifeboat_for_people(&["schema"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let kept = include_str!("../../docs/drill.schema.json");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), kept);
}

#[test]
fn completions_know_the_commands() {
    let world = World::new(SqliteFile::make);
    for shell in ["bash", "zsh", "fish"] {
        let script = people(&world, &["completions", shell], 0);
        for word in ["doctor", "negative-control"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let script = people(&world, &["completions", "bash"], 0);
    let file = world.path("completions");
    fs::write(&file, script + "\ncomplete -p lifeboat >/dev/null").unwrap();
    let sourced = Command::new("bash").arg(&file).output().unwrap();
    told(&sourced, 0);
}

#[cfg(not(feature = "otel"))]
#[test]
fn a_build_without_otel_says_so_where_traces_are_wanted() {
    let world = World::new(SqliteFile::make);
    let warned = |variable: &str| {
        let mut command = world.lifeboat(&["--log", "warn", "runs"]);
        let command = command.env(variable, "http://127.0.0.1:4318");
        let said = told(&command.output().unwrap(), 0);
        said.matches("built without otel").count()
    };
    assert_eq!(warned("OTEL_EXPORTER_OTLP_ENDPOINT"), 1);
    assert_eq!(warned("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), 1);
    assert_eq!(warned("OTEL_SERVICE_NAME"), 0);
}
