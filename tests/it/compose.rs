//! What `docker-compose.yml` promises, as far as it goes without containers:
//! its files are there, its SQL fills a server, its drills pass on that, by the
//! command and with the service that it has, and Prometheus takes its settings.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::{
    alerts::program,
    support::{
        postgres::{BINARIES, Server},
        s3::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, Store},
        served::{Served, put},
        until,
        world::{record, text},
    },
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn composed() -> Value {
    let text = fs::read_to_string(Path::new(ROOT).join("docker-compose.yml")).unwrap();
    serde_saphyr::from_str(&text).unwrap()
}

fn source() -> Value {
    composed()["services"]["source"].clone()
}

/// A server with the settings of the composed source and what it is filled with.
fn filled() -> Server {
    let service = source();
    let mounted = service["volumes"][0].as_str().unwrap();
    let (file, _) = mounted.split_once(':').unwrap();
    let sql = fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
    let database = service["environment"]["POSTGRES_DB"].as_str().unwrap();
    let command = service["command"].as_array().unwrap().iter();
    let settings = command.filter_map(|word| word.as_str()?.split_once('='));
    let settings: Vec<_> = settings.collect();
    assert_eq!(settings.len(), 1);
    let server = Server::start(Path::new(BINARIES), &settings);
    server.psql("postgres", &format!("create database {database}"));
    server.psql(database, &sql);
    server
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
}

/// The one that the file of tokens tells.
fn token() -> String {
    let tokens = fs::read_to_string(Path::new(ROOT).join("deploy/compose/tokens.yaml")).unwrap();
    let token = tokens.split("the token is ").nth(1).unwrap();
    let token = token.lines().next().unwrap();
    token.trim_end_matches('.').to_owned()
}

#[test]
fn the_drill_of_the_composed_source_passes() {
    let (service, server) = (source(), filled());
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

/// The service of `docker-compose.yml`, with its own command, where its parts are here.
fn served(place: &Path, source: &Server, store: &Store) -> Served {
    let service = composed()["services"]["lifeboat"].clone();
    let drills = place.join("drills");
    fs::create_dir(&drills).unwrap();
    for file in fs::read_dir(Path::new(ROOT).join("deploy/compose/drills")).unwrap() {
        let file = file.unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        let here = source.directory.display().to_string();
        let text = text.replace("host: source,", &format!("host: {here},"));
        let here = format!("127.0.0.1:{}", store.port());
        let text = text.replace("objects:7070", &here);
        fs::write(drills.join(file.file_name()), text).unwrap();
    }
    let tokens = Path::new(ROOT).join("deploy/compose/tokens.yaml");
    let words = service["command"].as_array().unwrap().iter();
    let words = words.map(|word| match word.as_str().unwrap() {
        "/etc/lifeboat/drills" => drills.display().to_string(),
        "/etc/lifeboat/tokens.yaml" => tokens.display().to_string(),
        "0.0.0.0:8650" => "127.0.0.1:0".to_owned(),
        word => word.to_owned(),
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command.arg("--state-dir").arg(place.join("state"));
    for (name, value) in service["environment"].as_object().unwrap() {
        command.env(name, value.as_str().unwrap());
    }
    command
        .env("LIFEBOAT_HISTORY", source.url(&source.database()))
        .env("S3_KEY_ID", ACCESS_KEY_ID)
        .env("S3_SECRET", SECRET_ACCESS_KEY)
        .args(words);
    let mut served = Served::by(command, place.join("log"));
    served.token = Some(token());
    served
}

#[test]
fn the_drills_of_the_composed_service_pass() {
    let (source, store) = (filled(), Store::new());
    let place = tempfile::tempdir().unwrap();
    let mut served = served(place.path(), &source, &store);
    for drill in ["shop", "shop-bucket"] {
        let run = served.promised(drill);
        let path = format!("/api/v1/runs/{run}");
        until("it has ended", || {
            served.get(&path)["finished_at"].is_string()
        });
        let record = served.get(&path);
        assert_eq!(record["verdict"], "passed", "{record:#}");
        assert_eq!(record["cleanup"]["state"], "clean", "{record:#}");
    }
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    source.stop();
}

#[test]
fn prometheus_takes_what_is_composed_for_it() {
    let config = Path::new(ROOT).join("deploy/compose/prometheus.yaml");
    let config = fs::read_to_string(config).unwrap();
    let rules = "/etc/prometheus/lifeboat.rules.yaml";
    assert!(config.contains(rules));
    let here = Path::new(ROOT).join("deploy/prometheus/lifeboat.rules.yaml");
    let config = config.replace(rules, &here.display().to_string());
    let place = tempfile::tempdir().unwrap();
    let file = put(place.path(), "prometheus.yaml", &config);
    let mut tool = Command::new(program("promtool"));
    let checked = tool.args(["check", "config"]).arg(file).output().unwrap();
    assert!(checked.status.success(), "{}", text(&checked));
}
