//! The sample drills are run as they are, but for where things are. Runs the
//! real binary.

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{
    database::{Database, SMALL},
    postgres::{BINARIES, Server},
    world::{Source, SqliteFile, World, entries, record, text},
};

/// A copy of a sample in the world, with other places.
fn sample<S: Source>(world: &World<S>, name: &str, places: &[(&str, &str)]) -> String {
    let drills = Path::new(env!("CARGO_MANIFEST_DIR")).join("drills");
    let mut drill = fs::read_to_string(drills.join(name)).unwrap();
    for (before, after) in places {
        assert!(drill.contains(before), "{name} has no {before}");
        drill = drill.replace(before, after);
    }
    let path = world.path(name);
    fs::write(&path, drill).unwrap();
    path.display().to_string()
}

/// Runs a sample, which passes.
fn passes<S: Source>(world: &World<S>, name: &str, places: &[(&str, &str)]) -> Value {
    let file = sample(world, name, places);
    let mut run = world.lifeboat(&["run", &file]);
    let output = run.env("SHOP_PASSWORD", PASSWORD).output().unwrap();
    let record = record(&output);
    assert_eq!(output.status.code(), Some(0), "{name}: {}", text(&output));
    assert_eq!(record["verdict"], "passed", "{name}");
    record
}

const PASSWORD: &str = "of the sample";

#[test]
fn the_samples_of_sqlite_pass() {
    let world = World::new(SqliteFile::make);
    fs::create_dir(world.path("backups")).unwrap();
    fs::copy(world.path("app.db"), world.path("backups/app-1.db")).unwrap();
    let place = world.path("backups").display().to_string();
    assert_eq!(passes(&world, "sqlite.yaml", &[])["proof"], "exact");
    let fast = passes(&world, "fast-validate.yaml", &[]);
    assert_eq!(fast["profile"], "fast-validate");
    let copies = passes(&world, "sqlite-existing.yaml", &[("/backups", &place)]);
    assert_eq!(copies["proof"], "structural");
    world.is_clean(3);
    assert_eq!(entries(&world.path("backups")), ["app-1.db"]);
}

/// A server with the database, the user and the password of the samples.
fn shop() -> Database {
    let server: &Server = Box::leak(Box::new(Server::start(Path::new(BINARIES), &[])));
    for sql in [
        format!("create role lifeboat login password '{PASSWORD}' in role pg_read_all_data"),
        "create database shop template template0".to_owned(),
    ] {
        server.psql("postgres", &sql);
    }
    server.psql("shop", SMALL);
    // No role may read all of them: each would have to be granted.
    server.psql("shop", "select lo_unlink(oid) from pg_largeobject_metadata");
    let hba = "local all lifeboat scram-sha-256\nlocal all all trust\n";
    fs::write(server.directory.join("data/pg_hba.conf"), hba).unwrap();
    server.psql("postgres", "select pg_reload_conf()");
    Database::named(server, "shop".to_owned())
}

#[test]
fn the_samples_of_postgresql_pass() {
    let world = World::new(|_| shop());
    let host = world.source.server.directory.display().to_string();
    let fresh = passes(&world, "postgresql-minimal.yaml", &[("db.example", &host)]);
    assert_eq!(fresh["proof"], "exact");

    fs::create_dir(world.path("backups")).unwrap();
    fs::write(world.path("backups/shop-1.dump"), world.source.dump("c")).unwrap();
    let globals = world.source.globals();
    fs::write(world.path("backups/globals.sql"), globals).unwrap();
    let place = world.path("backups").display().to_string();
    let name = "postgresql-existing-dump.yaml";
    let existing = passes(&world, name, &[("/backups", &place)]);
    assert_eq!(existing["rpo"]["standing"], "met");
    world.is_clean(2);
}
