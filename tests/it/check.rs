//! `lifeboat check` by the real binary: what it finds is what a run would.

use std::path::Path;

use serde_json::Value;

use crate::support::{
    database::{Database, QUIET, SMALL},
    disk::SmallDisk,
    world::{Source, SqliteFile, World, text},
};

/// What is found, as severity and words, by subject.
struct Found(Vec<Value>);

impl Found {
    fn by<S: Source>(world: &World<S>) -> Self {
        let file = world.path("app.yaml").display().to_string();
        let output = world.lifeboat(&["check", &file]).output().unwrap();
        let all: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
        let found = Self(all[0]["findings"].as_array().unwrap().clone());
        let fails = found.0.iter().any(|one| one["severity"] == "error");
        assert_eq!(output.status.success(), !fails, "{}", text(&output));
        found
    }

    fn says(&self, subject: &str, severity: &str, words: &str) {
        let one = self.0.iter().find(|one| one["subject"] == subject);
        let one = one.unwrap_or_else(|| panic!("nothing of {subject}: {:#?}", self.0));
        let said = format!("{} {}", one["message"], one["hint"]);
        assert_eq!(one["severity"], severity, "{said}");
        assert!(said.contains(words), "{said}");
    }
}

const NEWEST: &str =
    "  recoveryPoint: { existing: { path: 'backups/app-*', globals: roles.sql } }\n";

fn backups<S: Source>(world: &World<S>, point: &str) -> std::path::PathBuf {
    world.drill("app", point);
    let backups = world.path("backups");
    std::fs::create_dir(&backups).unwrap();
    backups
}

fn plain_dump(path: &Path, version: u32) {
    let text = format!(
        "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version {version}.1\n\
         -- Dumped by pg_dump version {version}.1\n\nSET statement_timeout = 0;\n\n\
         --\n-- PostgreSQL database dump complete\n--\n\n"
    );
    std::fs::write(path, text).unwrap();
}

#[test]
fn an_existing_dump_is_looked_at_as_a_run_does() {
    let world = World::new(|_| Database::filled(&QUIET, SMALL));
    let backups = backups(&world, NEWEST);
    Found::by(&world).says("backup", "error", "check the pattern");
    Found::by(&world).says("globals file", "error", "roles.sql");

    std::fs::write(backups.join("app-1"), "an error of the backup job\n").unwrap();
    Found::by(&world).says("backup", "error", "something else than a dump");

    std::fs::remove_file(backups.join("app-1")).unwrap();
    plain_dump(&backups.join("app-2"), 99);
    Found::by(&world).says("backup", "error", "postgresql-99");

    std::fs::remove_file(backups.join("app-2")).unwrap();
    plain_dump(&backups.join("app-3"), 15);
    std::fs::write(world.path("roles.sql"), "").unwrap();
    let found = Found::by(&world);
    found.says("backup", "ok", "app-3");
    assert!(found.0.iter().all(|one| one["subject"] != "globals file"));

    world.drill(
        "app",
        "  recoveryPoint: { existing: { path: none.dump } }\n",
    );
    Found::by(&world).says("backup", "error", "whether the backup job still runs");
    world.is_clean(0);
}

#[test]
fn an_existing_file_of_sqlite_is_looked_at_as_a_run_does() {
    let world = World::new(SqliteFile::make);
    let point = "  recoveryPoint: { existing: { path: 'backups/app-*' } }\n";
    let backups = backups(&world, point);
    Found::by(&world).says("backup", "error", "check the pattern");
    std::fs::write(backups.join("app-1"), "a letter and no database".repeat(50)).unwrap();
    Found::by(&world).says("backup", "error", "app-1");
    std::fs::copy(world.path("app.db"), backups.join("app-1")).unwrap();
    Found::by(&world).says("backup", "ok", "app-1");
    world.is_clean(0);
}

#[test]
fn the_room_in_the_usual_scratch_place_is_looked_at() {
    let world = World::new(|_| Database::filled(&QUIET, SMALL));
    let Some(_disk) = SmallDisk::mount(&world.path("state"), 4 << 10) else {
        return;
    };
    let place = world.path("state/scratch").display().to_string();
    let found = Found::by(&world);
    found.says("scratch space", "error", &place);
    found.says("scratch space", "error", "sandbox.local.directory");
    world.drill("app", "  sandbox: { local: { directory: elsewhere } }\n");
    let place = world.path("elsewhere").display().to_string();
    Found::by(&world).says("scratch space", "ok", &place);
}

#[test]
fn the_room_for_a_file_of_sqlite_is_looked_at() {
    let world = World::new(SqliteFile::make);
    let large = rusqlite::Connection::open(world.path("app.db")).unwrap();
    let fill = "insert into t (note) select zeroblob(8000000)";
    large.execute_batch(fill).unwrap();
    drop(large);
    let Some(_disk) = SmallDisk::mount(&world.path("state"), 4 << 10) else {
        return;
    };
    Found::by(&world).says("scratch space", "error", "a drill of this database (8 MiB)");
    world.drill("app", "  recoveryPoint: { existing: { path: app.db } }\n");
    Found::by(&world).says("scratch space", "error", "a drill of this backup (8 MiB)");
}
