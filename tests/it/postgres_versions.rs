//! More than one major version: sources, tools and copies of 15 and 17.

use std::{collections::BTreeMap, process::Command};

use lifeboat::{
    domain::fingerprint::{Fingerprint, compare},
    engine::postgresql::fingerprint::{self, Options},
};
use serde_json::Value;

use crate::support::{
    self,
    database::{Database, SMALL},
    postgres::{SERVER, Server, newer},
    rich::{self, RICH},
    world::{Source, World, failed, record, text},
};

/// A drill of a database whose tools are those of 15, and of 17 if told.
fn world(
    server: &'static Server,
    sql: &str,
    tools: Option<&Server>,
    more: &str,
) -> World<Database> {
    let world = World::new(|_| {
        let mut database = Database::filled(server, sql);
        if let Some(tools) = tools {
            database.workload = format!("tools: [ \"{}\" ]", tools.binaries.display());
        }
        database
    });
    world.drill("app", more);
    world
}

fn into(version: u16) -> String {
    format!("  sandbox: {{ local: {{ version: {version} }} }}\n")
}

fn passed(world: &World<Database>) -> Value {
    let before = world.source.content();
    let output = world.run_drill().output().unwrap();
    let record = record(&output);
    assert_eq!(record["verdict"], "passed", "{}", text(&output));
    assert_eq!(record["proof"], "exact", "{}", text(&output));
    assert_eq!(world.source.content(), before);
    world.is_clean(1);
    record
}

fn version(text: &Value) -> &str {
    text.as_str().unwrap().split('.').next().unwrap()
}

#[test]
fn a_newer_source_is_restored_into_its_own_version() {
    let Some(newer) = newer() else { return };
    let record = passed(&world(newer, SMALL, Some(newer), ""));
    assert_eq!(version(&record["source"]["version"]), "17");
    assert_eq!(
        record["recovery_point"]["producer"]
            .as_str()
            .unwrap()
            .split('.')
            .next(),
        Some("pg_dump 17")
    );
    assert_eq!(version(&record["restore"]["engine_version"]), "17");
}

#[test]
fn every_compression_of_a_newer_dump_is_restored() {
    let Some(newer) = newer() else { return };
    for compression in ["zstd", "lz4"] {
        let more = format!("  recoveryPoint: {{ fresh: {{ compression: {compression} }} }}\n");
        passed(&world(newer, SMALL, Some(newer), &more));
    }
}

#[test]
fn an_older_dump_is_restored_into_a_newer_server() {
    let Some(newer) = newer() else { return };
    let record = passed(&world(&SERVER, rich::SCHEMA, Some(newer), &into(17)));
    let checks = record["checks"].as_array().unwrap();
    for name in [
        "fingerprints",
        "schema",
        "environment",
        "sequences",
        "integrity",
    ] {
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        assert_eq!(check["outcome"], "pass", "{check:#}");
    }
    assert_eq!(version(&record["source"]["version"]), "15");
    assert_eq!(version(&record["restore"]["engine_version"]), "17");
}

#[test]
fn a_source_that_is_newer_than_the_tools_is_told_before_anything_is_made() {
    let Some(newer) = newer() else { return };
    let world = world(newer, "create table t (i int)", None, "");
    let failure = failed(&world.run_drill().output().unwrap(), "inspect", "not_found");
    for part in ["no pg_dump for a server of version 17.", "found 15."] {
        assert!(failure.message.contains(part), "{failure:?}");
    }
    for part in ["postgresql-client-17", "workload.postgresql.tools"] {
        assert!(failure.hint.contains(part), "{failure:?}");
    }
    world.is_clean(1);
}

#[test]
fn a_newer_dump_is_not_restored_into_an_older_server() {
    let Some(newer) = newer() else { return };
    let world = world(newer, SMALL, Some(newer), &into(15));
    let refused = |step: &str| {
        let failure = failed(&world.run_drill().output().unwrap(), step, "invalid");
        for part in ["PostgreSQL 17", "older version 15"] {
            assert!(failure.message.contains(part), "{failure:?}");
        }
        assert!(
            failure.hint.contains("sandbox.local.version"),
            "{failure:?}"
        );
        assert_eq!(world.runs()[0]["timeline"]["declared"], Value::Null);
    };
    refused("inspect");

    let dump = world.path("app.dump");
    let status = Command::new(newer.binaries.join("pg_dump"))
        .args(["-U", "postgres", "-Fc", "-h"])
        .arg(&newer.directory)
        .arg("-f")
        .arg(&dump)
        .arg(&world.source.name)
        .status();
    assert!(status.unwrap().success());
    world.drill(
        "app",
        &format!(
            "  recoveryPoint: {{ existing: {{ path: app.dump }} }}\n{}",
            into(15)
        ),
    );
    refused("capture");
    world.is_clean(2);
}

async fn fingerprint_of(server: &Server, database: &str) -> Fingerprint {
    let (cx, _) = support::context();
    let options = Options {
        equality: fingerprint::Equality::Typed,
        locate: true,
        like: None,
        only: None,
        exclude: Vec::new(),
        jobs: 2,
    };
    fingerprint::take(&cx, &server.endpoint(database), None, &options)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_same_data_has_the_same_digests_on_every_version() {
    let Some(newer) = newer() else { return };
    let copy = rich::copy_to(&SERVER, newer, &RICH.source);
    let older = fingerprint_of(&SERVER, &RICH.source).await;
    let newer = fingerprint_of(newer, &copy).await;
    assert!(older.tables.len() >= 10, "{older:#?}");
    assert_eq!(compare(&older, &newer), BTreeMap::new());
}
