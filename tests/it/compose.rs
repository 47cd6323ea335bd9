//! What `docker-compose.yml` promises, as far as it goes without containers:
//! its files are there, its SQL fills a server, and its drill passes on that.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    postgres::{BINARIES, Server},
    world::{record, text},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn source() -> Value {
    let text = fs::read_to_string(Path::new(ROOT).join("docker-compose.yml")).unwrap();
    let compose: Value = serde_saphyr::from_str(&text).unwrap();
    compose["services"]["source"].clone()
}

#[test]
fn the_drill_of_the_composed_source_passes() {
    let service = source();
    let mounted = service["volumes"][0].as_str().unwrap();
    let (file, _) = mounted.split_once(':').unwrap();
    let sql = fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
    let database = service["environment"]["POSTGRES_DB"].as_str().unwrap();
    let server = Server::start(Path::new(BINARIES), &[]);
    server.psql("postgres", &format!("create database {database}"));
    server.psql(database, &sql);

    let port = service["ports"][0].as_str().unwrap().split(':').nth(1);
    let drill = fs::read_to_string(Path::new(ROOT).join("drills/compose.yaml")).unwrap();
    let there = format!("host: 127.0.0.1, port: {},", port.unwrap());
    assert!(drill.contains(&there), "{there}");
    let here = format!("host: {},", server.directory.display());
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("compose.yaml");
    fs::write(&path, drill.replace(&there, &here)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lifeboat"))
        .env("PGPASSWORD", "of-lifeboat")
        .arg("--state-dir")
        .arg(place.path().join("state"))
        .args(["--quiet", "--output", "json", "run"])
        .arg(&path)
        .output()
        .unwrap();
    let record = record(&output);
    assert_eq!(record["verdict"], "passed", "{}", text(&output));
    assert_eq!(record["proof"], "exact");
    assert!(record["canary"]["acknowledged"].as_u64() > Some(0));
    server.stop();
}
