//! What `docker-compose.yml` promises, as far as it goes without containers:
//! its files are there, its SQL fills a server, and its drill passes on that.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::{
    postgres::{BINARIES, Server},
    world::{record, text},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn composed() -> Value {
    let text = fs::read_to_string(Path::new(ROOT).join("docker-compose.yml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

fn source() -> Value {
    composed()["services"]["source"].clone()
}

/// Every file that is mounted is there, and every name that one part knows
/// another by is that of a part.
#[test]
fn what_the_parts_need_is_there() {
    let composed = composed();
    let services = composed["services"].as_object().unwrap();
    let volumes = composed["volumes"].as_object().unwrap();
    for (name, service) in services {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let (from, _) = volume.as_str().unwrap().split_once(':').unwrap();
            let known = match from.strip_prefix("./") {
                Some(path) => Path::new(ROOT).join(path).exists(),
                None => volumes.contains_key(from),
            };
            assert!(known, "{name}: {from}");
        }
    }
    let host = |url: &Value| {
        let url = url.as_str().unwrap();
        let host = url.rsplit('@').next().unwrap().rsplit("//").next().unwrap();
        host.split(['/', ':']).next().unwrap().to_owned()
    };
    let service = &services["lifeboat"];
    assert!(services.contains_key(&host(&service["environment"]["LIFEBOAT_HISTORY"])));
    let folder = Path::new(ROOT).join("deploy/compose/drills");
    let served = lifeboat::catalog::Catalog::default().read(std::slice::from_ref(&folder));
    assert!(served.broken().is_empty(), "{:?}", served.broken());
    assert_eq!(served.drills().len(), 2);
    let bucket = fs::read_to_string(folder.join("bucket.yaml")).unwrap();
    let endpoint = bucket
        .split("endpoint: ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    assert!(services.contains_key(&host(&endpoint.into())));
    // The token that is told is the one that is taken.
    let tokens = fs::read_to_string(Path::new(ROOT).join("deploy/compose/tokens.yaml")).unwrap();
    let token = tokens.split("the token is ").nth(1).unwrap();
    let token = token.lines().next().unwrap().trim_end_matches('.');
    assert!(tokens.contains(&lifeboat::api::hash(token)), "{token}");
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
