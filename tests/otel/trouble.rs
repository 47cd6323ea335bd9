//! A collector that is of no use keeps no run, and is told once.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Output,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::support::{
    served::{Served, scheduled},
    until,
    world::{SqliteFile, World, record, text},
};

/// A port that no service of today has.
const NOBODY: &str = "http://127.0.0.1:1";

/// How long a process stays for what is queued, and a run of this drill.
const AT_MOST: Duration = Duration::from_secs(3 + 5);

/// A run that exports to `endpoint`, and how long it took.
fn run(endpoint: &str) -> (Output, Duration) {
    let world = World::new(SqliteFile::make);
    let file = world.path("app.yaml").display().to_string();
    let mut run = world.lifeboat(&["--log", "warn", "run", &file]);
    run.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    run.env(
        "OTEL_EXPORTER_OTLP_HEADERS",
        "authorization=Bearer%20secret",
    );
    let began = Instant::now();
    let output = run.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(record(&output)["verdict"], "passed");
    (output, began.elapsed())
}

/// What is said of traces.
fn warnings(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("traces")).collect()
}

fn warned(output: &Output, of: &str) {
    let log = String::from_utf8_lossy(&output.stderr);
    let warnings = warnings(&log);
    assert!(warnings.len() == 1 && warnings[0].contains(of), "{log}");
}

#[test]
fn a_collector_that_is_not_there_is_no_harm() {
    let (output, took) = run(NOBODY);
    warned(&output, "Connection refused");
    assert!(took < AT_MOST, "{took:?}");
}

#[test]
fn a_collector_that_never_answers_is_not_waited_for() {
    // Connections are taken by the system.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (output, took) = run(&format!("http://{}", silent.local_addr().unwrap()));
    warned(&output, "the process ends before they are taken");
    assert!(took < AT_MOST, "{took:?}");
}

#[test]
fn an_address_that_is_none_is_no_harm() {
    let (output, _) = run("nowhere at all");
    warned(&output, "invalid endpoint");
}

#[test]
fn a_collector_that_refuses_was_told_who_asks() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(String::new()));
    let hearing = heard.clone();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut part = [0; 4096];
        let read = stream.read(&mut part).unwrap();
        *hearing.lock().unwrap() = String::from_utf8_lossy(&part[..read]).into_owned();
        let _ = write!(stream, "HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n");
    });
    let (output, _) = run(&format!("http://{address}"));
    warned(&output, "401");
    let heard = heard.lock().unwrap();
    assert!(heard.starts_with("POST /v1/traces "), "{heard}");
    assert!(
        heard.contains("authorization: Bearer secret\r\n"),
        "{heard}"
    );
    assert!(
        heard.contains("content-type: application/x-protobuf\r\n"),
        "{heard}"
    );
}

#[test]
fn a_service_warns_once_of_a_collector_that_is_down() {
    let world = World::new(SqliteFile::make);
    scheduled(&world, "app", "@yearly");
    let named = [("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY.to_owned())];
    let mut served = Served::start_with(&world, "state", &[], &named);
    for _ in 0..3 {
        let (status, run) = served.ask("POST", "/api/v1/drills/app/runs");
        assert_eq!(status, 202, "{run}");
        until("the run has ended", || {
            served.get("/api/v1/drills/app")["state"] == "idle"
        });
    }
    let runs = served.get("/api/v1/runs")["runs"].clone();
    let runs = runs.as_array().unwrap();
    assert!(runs.len() == 3 && runs.iter().all(|run| run["verdict"] == "passed"));
    assert_eq!(served.stop(), Some(0));
    assert_eq!(warnings(&served.log()).len(), 1, "{}", served.log());
}
