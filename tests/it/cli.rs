//! Commands as people call them, and exit statuses. Runs the real binary.

use std::{
    fs,
    process::{Command, Output},
};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use lifeboat::cli::exit::Exit;
use serde_json::{Value, json};

use crate::{
    due::{ahead, instant},
    support::{
        clock,
        records::{failed, inconclusive, interrupted, negative_control, passed},
        served::{put, with_schedule},
        until,
        world::{SqliteFile, World, record, text},
    },
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

/// Drills that are due in the ten hours before the clocks of New York are put
/// forward, and on the day after; and that instant.
fn due_in_the_night() -> (World<SqliteFile>, Timestamp) {
    let world = World::new(SqliteFile::make);
    let zone = TimeZone::get("America/New_York").unwrap();
    let mut changes = zone.following(Timestamp::now());
    let change = changes.find(|change| change.dst().is_dst()).unwrap();
    let day = TimeZone::UTC.to_datetime(change.timestamp()).date();
    let dark = format!(
        "blackouts: [ {{ from: '{day}', to: '{}' }} ]",
        day.tomorrow().unwrap()
    );
    for (name, schedule) in [
        (
            "moved",
            "cron: '30 2 * * *', timeZone: America/New_York".to_owned(),
        ),
        ("dark", format!("cron: '0 12 * * *', {dark}")),
        // Its fire time is behind, and its start ahead.
        ("spread", "cron: '55 20 * * *', startWindow: 4h".to_owned()),
        ("asleep", "cron: '0 1 * * *', suspended: true".to_owned()),
    ] {
        with_schedule(&world, name, &schedule, "");
    }
    let existing = "  recoveryPoint: { existing: { path: '../backups/*.db' } }\n  \
                    schedule: { afterEachBackup: {} }\n";
    let text = world.document("backups", existing);
    let text = text.replace("file: app.db", "file: ../app.db");
    put(&world.path("drills"), "backups.yaml", &text);
    (world, change.timestamp())
}

/// How many seconds after its fire time a run starts.
fn distance(line: &Value) -> i64 {
    let at = instant(line, "scheduled_for");
    instant(line, "starts_at").duration_since(at).as_secs()
}

#[test]
fn what_is_ahead_is_told_by_the_command_and_by_the_service() {
    let (world, change) = due_in_the_night();
    let left = change.duration_since(Timestamp::now()).as_secs();
    let hours = |hours: i64| left - hours * 3_600;
    // The drills are known before the first of them is due.
    let mut served = ahead(&world, hours(11));
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    let served = ahead(&world, hours(10));
    let answer = served.get("/api/v1/schedule?next=6");
    let followed = &answer["after_backups"][0];
    assert_eq!(followed["drill"], "backups", "{answer}");
    assert_eq!(followed["look_every_s"], 60, "{answer}");
    let lines = answer["upcoming"].clone();

    let files = ["moved", "dark", "spread", "asleep", "backups"];
    let files = files.map(|name| {
        let file = world.path("drills").join(format!("{name}.yaml"));
        file.display().to_string()
    });
    let listed = |mut command: Command| {
        let command = command.args(["schedule", "--next", "6"]).args(&files);
        let (name, file) = clock::of(&world, 0);
        told(&command.env(name, file).output().unwrap(), 0)
    };
    let same: Value = serde_json::from_str(&listed(world.lifeboat(&[]))).unwrap();
    assert_eq!(same, lines);

    let at = |minutes: i64| (change + SignedDuration::from_mins(minutes)).to_string();
    // The change is at 07:00 UTC.
    let wanted = [
        ("spread", at(-605), false, Value::Null),
        ("asleep", at(-360), false, json!("suspended")),
        ("moved", at(30), true, Value::Null),
        ("dark", at(300), false, json!("blackout")),
        ("spread", at(835), false, Value::Null),
        ("asleep", at(1_080), false, json!("suspended")),
    ];
    let lines = lines.as_array().unwrap();
    let short = lines.iter().map(|line| {
        let drill = line["drill"].as_str().unwrap();
        let at = instant(line, "scheduled_for").to_string();
        let moved = line["moved"].as_bool().unwrap();
        (drill, at, moved, line["skipped"].clone())
    });
    assert_eq!(short.collect::<Vec<_>>(), wanted);
    assert!(distance(&lines[0]) > 360, "{}", lines[0]);

    let page = listed(world.lifeboat_for_people(&[]));
    let page = page.lines().filter(|line| !line.is_empty());
    let page: Vec<&str> = page.collect();
    for (line, parts) in page[1..].iter().zip([
        ["spread", "20:55:00 UTC"],
        ["asleep", "does not start: suspended"],
        ["03:30:00 EDT", "moved: the clocks are changed"],
        ["dark", "does not start: blackout"],
        ["spread", "20:55:00 UTC"],
        ["asleep", "does not start: suspended"],
        ["backups", "runs after each new backup"],
    ]) {
        assert!(parts.iter().all(|part| line.contains(part)), "{page:#?}");
    }
    assert_eq!(page.len(), 8, "{page:#?}");

    // What was not known at its fire time starts nothing, though its start is ahead.
    with_schedule(&world, "late", "cron: '55 20 * * *', startWindow: 4h", "");
    let mut late = None;
    until("it is known", || {
        let lines = served.get("/api/v1/schedule?next=10")["upcoming"].clone();
        let mut lines = lines.as_array().unwrap().iter();
        late = lines.find(|line| line["drill"] == "late").cloned();
        late.is_some()
    });
    let late = late.unwrap();
    assert!(distance(&late) > 360, "{late}");
    assert_eq!(instant(&late, "scheduled_for").to_string(), at(835));
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
