//! The real binary and a real collector.

use serde_json::Value;

use crate::support::{
    certificate::certificate,
    collector::{Collector, attribute, events},
    served::{Served, scheduled},
    until,
    world::{SqliteFile, World, killed, record, text},
};

/// In the middle of a run: see `tests/it/takeover.rs`.
const IN_THE_MIDDLE: &str = "12";

/// Nanoseconds since 1970, of a record or of a span.
fn nanos(time: &Value) -> i128 {
    let time = time.as_str().unwrap();
    time.parse()
        .unwrap_or_else(|_| time.parse::<jiff::Timestamp>().unwrap().as_nanosecond())
}

/// Each step of the record is a span with the times and the summary of the record.
fn tells_steps(trace: &[Value], record: &Value) {
    let steps = record["steps"].as_array().unwrap();
    assert_eq!(trace.len(), 1 + steps.len());
    let requested = nanos(&record["requested_at"]);
    for (span, step) in trace[1..].iter().zip(steps) {
        assert_eq!(span["name"], step["step"]);
        assert_eq!(span["parentSpanId"], trace[0]["spanId"]);
        assert_eq!(attribute(span, "lifeboat.summary"), step["summary"]);
        let micros = |name: &str| i128::from(step[name].as_u64().unwrap());
        let begin = requested + micros("offset_us") * 1000;
        // Times of a record are finer than what spans are made of.
        assert!((nanos(&span["startTimeUnixNano"]) - begin).abs() < 1000);
        let end = begin + micros("elapsed_us") * 1000;
        assert!((nanos(&span["endTimeUnixNano"]) - end).abs() < 1000);
    }
}

#[test]
fn runs_are_traces() {
    let world = World::new(SqliteFile::make);
    let collector = Collector::start(&world.path(""));
    let run = || {
        let mut run = world.run_drill();
        run.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint);
        run.env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=tests");
        let output = run.output().unwrap();
        (output.status.code(), record(&output))
    };
    let (status, passed) = run();
    assert_eq!(status, Some(0));
    let trace = collector.trace(passed["id"].as_str().unwrap());
    tells_steps(&trace, &passed);
    let (root, resource) = (&trace[0], &trace[0]["resource"]);
    assert_eq!(root["name"], "drill app");
    assert_eq!(root["status"]["code"], 1, "{root}");
    assert_eq!(
        nanos(&root["endTimeUnixNano"]),
        nanos(&passed["finished_at"])
    );
    assert_eq!(attribute(root, "lifeboat.run"), passed["id"]);
    assert_eq!(attribute(root, "lifeboat.verdict"), "passed");
    assert_eq!(
        attribute(root, "lifeboat.rto_ms"),
        passed["rto"]["measured_ms"].to_string()
    );
    assert_eq!(attribute(resource, "service.name"), "lifeboat");
    assert_eq!(attribute(resource, "deployment.environment"), "tests");
    let milestones: usize = trace.iter().map(|span| events(span).len()).sum();
    assert_eq!(milestones, passed["timeline"].as_object().unwrap().len());

    std::fs::rename(world.path("app.db"), world.path("away.db")).unwrap();
    let (status, failed) = run();
    assert_eq!(status, Some(3));
    let trace = collector.trace(failed["id"].as_str().unwrap());
    for span in [&trace[0], trace.last().unwrap()] {
        assert_eq!(span["status"]["code"], 2, "{span}");
        assert_eq!(span["status"]["message"], failed["failure"]["message"]);
    }
}

#[test]
fn a_service_exports_by_https_and_flushes_when_it_ends() {
    let world = World::new(SqliteFile::make);
    scheduled(&world, "app", "@yearly");
    let (chain, key) = certificate(&world.path("etc"), "collector");
    let collector = Collector::start_tls(&world.path(""), [&chain, &key]);
    let named = [
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            format!("{}/v1/traces", collector.endpoint),
        ),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip".to_owned()),
        (
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            chain.display().to_string(),
        ),
        ("OTEL_SERVICE_NAME", "drills-of-tests".to_owned()),
    ];
    let mut served = Served::start_with(&world, "state", &[], &named);
    assert_eq!(served.ask("POST", "/api/v1/drills/app/runs").0, 202);
    until("the run has a verdict", || {
        served.get("/api/v1/drills/app")["last_run"]["verdict"] == "passed"
    });
    let run = served.get("/api/v1/runs")["runs"][0].clone();
    assert_eq!(served.stop(), Some(0));
    assert!(!served.log().contains("traces"), "{}", served.log());
    let trace = collector.trace(run["id"].as_str().unwrap());
    let resource = &trace[0]["resource"];
    assert_eq!(attribute(resource, "service.name"), "drills-of-tests");
}

#[test]
fn a_run_that_is_ended_for_a_dead_process_is_its_trace() {
    let world = World::new(SqliteFile::make);
    let collector = Collector::start(&world.path(""));
    let mut run = world.run_drill();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint);
    run.envs([endpoint])
        .env("LIFEBOAT_TEST_KILL_AT", IN_THE_MIDDLE);
    let output = run.output().unwrap();
    assert!(killed(&output), "{}", text(&output));
    let output = world
        .lifeboat(&["sweep"])
        .envs([endpoint])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let runs = world.runs();
    let id = runs[0]["id"].as_str().unwrap();
    let trace = collector.trace(id);
    assert_eq!(attribute(&trace[0], "lifeboat.verdict"), "inconclusive");
    let record = world.lifeboat(&["show", id]).output().unwrap();
    let record: Value = serde_json::from_slice(&record.stdout).unwrap();
    assert_eq!(trace[0]["status"]["message"], record["reasons"][0]);
    tells_steps(&trace, &record);
    assert!(
        events(&trace[0]).contains(&"released".to_owned()),
        "{trace:#?}"
    );
}
