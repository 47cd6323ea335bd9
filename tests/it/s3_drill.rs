//! Whole drills of dumps in a bucket, with the real binary, on a real server.

use std::{process::Output, time::Duration};

use serde_json::Value;

use crate::{
    kill::{kill_at_points, kill_at_random, kill_recoveries},
    support::{
        s3::SECRET_ACCESS_KEY,
        stored::Stored,
        world::{Failed, Source, World, failed, record, text},
    },
};

/// What is written down nowhere.
fn no_secret_is_told(world: &World<Stored>, output: &Output) {
    assert!(
        !text(output).contains(SECRET_ACCESS_KEY),
        "{}",
        text(output)
    );
    for file in world.state_files() {
        let content = std::fs::read(&file).unwrap();
        let told = String::from_utf8_lossy(&content).contains(SECRET_ACCESS_KEY);
        assert!(!told, "{} holds the secret", file.display());
    }
}

fn passed(world: &World<Stored>) -> Value {
    let before = world.source.content();
    let output = world.run_drill().output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    no_secret_is_told(world, &output);
    world.is_empty();
    assert_eq!(world.source.content(), before, "what was there was changed");
    record(&output)
}

fn fails(world: &World<Stored>, step: &str, kind: &str) -> Failed {
    let before = world.source.content();
    let output = world.run_drill().output().unwrap();
    let told = failed(&output, step, kind);
    no_secret_is_told(world, &output);
    world.is_empty();
    assert_eq!(world.source.content(), before, "what was there was changed");
    told
}

/// Such a backup is a finding, and no accident.
fn is_no_backup(world: &World<Stored>) -> String {
    let record = record(&world.run_drill().output().unwrap());
    assert_eq!(record["verdict"], "failed", "{record:#}");
    assert_eq!(record["failure"]["kind"], "bad_backup", "{record:#}");
    world.is_empty();
    record["failure"].to_string()
}

/// A world with the drill of a dump that is there.
fn existing(key: &str, put: impl FnOnce(&mut Stored)) -> World<Stored> {
    let mut world = Stored::fresh(1);
    put(&mut world.source);
    world.drill("app", &world.source.existing(key));
    world
}

fn location(record: &Value) -> &str {
    record["recovery_point"]["artifact"]["location"]
        .as_str()
        .unwrap_or_default()
}

#[test]
fn a_fresh_dump_goes_by_way_of_the_bucket() {
    for jobs in [1, 2] {
        let record = passed(&Stored::fresh(jobs));
        assert!(location(&record).contains("/drills/kept/lb-"), "{record:#}");
    }
}

#[test]
fn a_dump_is_found_by_its_key_and_by_a_pattern() {
    for format in ["custom", "tar", "plain"] {
        let world = existing("backups/app.dump", |stored| {
            stored.put_dump("backups/app.dump", format);
        });
        let record = passed(&world);
        assert!(
            location(&record).ends_with("/drills/backups/app.dump"),
            "{record:#}"
        );
    }
}

#[test]
fn the_newest_dump_that_fits_is_restored() {
    let world = existing("backups/app-*.dump", |stored| {
        let hour = Duration::from_hours(1);
        stored.put_old("backups/app-3.dump", b"no dump at all", hour);
        stored.put_dump("backups/app-2.dump", "custom");
        stored.put("backups/other.dump", b"newer, but not meant");
    });
    let record = passed(&world);
    assert!(
        location(&record).ends_with("/backups/app-2.dump"),
        "{record:#}"
    );
}

#[test]
fn a_dump_that_was_cut_off_is_no_backup() {
    let world = existing("app.sql", |stored| {
        let dump = stored.database.dump("plain");
        stored.put("app.sql", &dump[..dump.len() / 2]);
    });
    let told = is_no_backup(&world);
    assert!(told.contains("its closing line is missing"), "{told}");

    let world = existing("app.dump", |stored| {
        let dump = stored.database.dump("custom");
        stored.put("app.dump", &dump[..dump.len() - 2000]);
    });
    let told = is_no_backup(&world);
    assert!(told.contains("the archive cannot be read"), "{told}");
}

#[test]
fn what_is_wrong_with_the_bucket_is_said_before_anything_is_made() {
    let world = Stored::fresh(2);
    let right = world.source.keeping(2);
    let port = world.source.store.port();
    let wrong = world.path("wrong");
    std::fs::write(&wrong, "not-the-secret").unwrap();
    let secret = world.source.store.secret_file();
    for (from, to, kind, words, hint) in [
        (
            "bucket: drills",
            "bucket: nosuch",
            "not_found",
            "no bucket nosuch",
            "check the bucket",
        ),
        (
            &*format!(":{port}"),
            ":1",
            "unavailable",
            "cannot be reached",
            "",
        ),
        (
            &*secret,
            &*wrong.display().to_string(),
            "denied",
            "status 403",
            "docs/s3.md",
        ),
    ] {
        let drill = right.replace(from, to);
        assert_ne!(drill, right);
        world.drill("app", &drill);
        let told = fails(&world, "inspect", kind);
        assert!(told.message.contains(words), "{told:?}");
        assert!(told.hint.contains(hint), "{told:?}");
    }
}

#[test]
fn killed_at_some_points_it_leaves_nothing_in_the_bucket() {
    assert!(kill_at_points(&Stored::fresh(2), 6) > 30);
}

#[test]
fn killed_while_it_recovers_it_leaves_nothing_in_the_bucket() {
    kill_recoveries(&Stored::fresh(1), 24, 4);
}

#[test]
fn some_kills_at_random_leave_nothing_in_the_bucket() {
    kill_at_random(&Stored::fresh(1), 5);
}
