//! The configuration file, between defaults and environment.

use std::process::Output;

use serde_json::Value;

use crate::support::{
    asking::send,
    certificate::certificate,
    served::{Served, put, scheduled},
    until,
    world::{SqliteFile, World, text},
};

fn world(config: &str) -> (World<SqliteFile>, String) {
    let world = World::new(SqliteFile::make);
    scheduled(&world, "app", "@yearly");
    let config = config.replace("PLACE", &world.path("drills").display().to_string());
    let file = put(&world.path("etc"), "config.yaml", &config);
    (world, file.display().to_string())
}

fn ran(world: &World<SqliteFile>, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = world.lifeboat_for_people(args);
    command.envs(variables.iter().copied()).output().unwrap()
}

/// A setting with what says so.
fn shown(world: &World<SqliteFile>, args: &[&str], env: &[(&str, &str)], name: &str) -> String {
    let mut all = vec!["--output", "json", "config", "show"];
    all.extend(args);
    let output = ran(world, &all, env);
    assert!(output.status.success(), "{}", text(&output));
    let settings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let found = settings.iter().find(|one| one["name"] == name).unwrap();
    format!(
        "{} by {}",
        found["value"].as_str().unwrap(),
        found["from"].as_str().unwrap()
    )
}

#[test]
fn each_layer_wins_over_those_below() {
    let (world, file) = world("maxRuns: 7\nsweepEvery: 3m\ndrills: [PLACE, PLACE]\nquiet: true\n");
    let config = ["--config", file.as_str()];
    let env = [("LIFEBOAT_MAX_RUNS", "8")];
    assert_eq!(shown(&world, &[], &[], "maxRuns"), "4 by default");
    assert_eq!(shown(&world, &config, &[], "maxRuns"), "7 by file");
    assert_eq!(shown(&world, &config, &env, "maxRuns"), "8 by environment");
    let flag = [&config[..], &["--max-runs", "9"]].concat();
    assert_eq!(shown(&world, &flag, &env, "maxRuns"), "9 by command_line");
    let named = [("LIFEBOAT_CONFIG", file.as_str())];
    assert_eq!(shown(&world, &[], &named, "sweepEvery"), "3m by file");
    let place = world.path("drills").display().to_string();
    assert_eq!(
        shown(&world, &config, &[], "drills"),
        format!("{place} {place} by file")
    );
    let given = [&config[..], &["other"]].concat();
    assert_eq!(
        shown(&world, &given, &[], "drills"),
        "other by command_line"
    );
    // Other commands take from it what they know.
    let runs = ran(&world, &["runs", "--config", &file], &[]);
    assert!(runs.status.success(), "{}", text(&runs));
}

#[test]
fn what_is_secret_is_not_shown() {
    let (world, file) = world("history: postgresql://boat:hunter2@db.example/boat\n");
    let output = ran(&world, &["config", "show", "--config", &file], &[]);
    let said = text(&output);
    assert!(said.contains("postgresql://db.example/boat"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn what_is_behind_two_dashes_is_a_place() {
    let (world, file) = world("maxRuns: 7\n");
    let place = world.path("drills").display().to_string();
    let args = ["--config", file.as_str(), "--", place.as_str()];
    assert_eq!(shown(&world, &args, &[], "maxRuns"), "7 by file");
    assert_eq!(
        shown(&world, &args, &[], "drills"),
        format!("{place} by command_line")
    );
}

#[test]
fn a_mistake_beside_a_secret_does_not_show_it() {
    let (world, file) = world("history: postgresql://boat:hunter2@db/boat\nmaxRuns: [\n");
    let output = ran(&world, &["config", "show", "--config", &file], &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn what_is_wrong_is_told_with_the_file() {
    for (config, wanted) in [
        ("maxRun: 7\n", "there is no setting maxRun"),
        (
            "maxRuns: many\n",
            "invalid value 'many' for '--max-runs <N>'",
        ),
        ("claim: { of: 3 }\n", "claim must be a value"),
        ("quiet: perhaps\n", "quiet must be true or false"),
        ("maxRuns: [\n", "config.yaml"),
    ] {
        let (world, file) = world(config);
        let output = ran(&world, &["serve", "--config", &file], &[]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(
            said.contains(wanted) && said.contains("config.yaml"),
            "{said}"
        );
        assert!(said.contains("hint: `lifeboat config show`"), "{said}");
    }
    let (world, _) = world("");
    let nothing = ran(&world, &["serve"], &[]);
    assert!(
        text(&nothing).contains("no drill files are named"),
        "{}",
        text(&nothing)
    );
}

#[test]
fn a_check_reads_all_that_is_named() {
    let (world, file) = world("drills: PLACE\n");
    let check = ["config", "check", "--config", file.as_str()];
    let good = ran(&world, &check, &[]);
    assert_eq!(text(&good).trim(), "good, with 1 drills");
    put(&world.path("drills"), "broken.yaml", "kind: Drill\n");
    let bad = ran(&world, &check, &[]);
    assert_eq!(bad.status.code(), Some(2), "{}", text(&bad));
    assert!(text(&bad).contains("broken.yaml"), "{}", text(&bad));
}

/// Before it begins anything.
#[test]
fn what_serve_would_refuse_is_refused_by_a_check() {
    let good = World::new(SqliteFile::make);
    let (cert, key) = certificate(&good.path("tls"), "one");
    let (_, other) = certificate(&good.path("tls"), "other");
    let broken = put(&good.path("etc"), "broken.yaml", "- { nmae: x }\n");
    let [cert, key, other, broken] = [cert, key, other, broken].map(|it| it.display().to_string());
    for (more, wanted) in [
        (format!("tokens: {broken}\n"), "cannot use the tokens in"),
        (format!("notify: {broken}\n"), "cannot use the targets in"),
        (
            format!("tlsCert: {broken}\ntlsKey: {key}\n"),
            "broken.yaml: it holds no certificate",
        ),
        (
            format!("tlsCert: {cert}\ntlsKey: {other}\n"),
            "other.key: it is not the certificate's",
        ),
        (
            format!("tlsKey: {key}\n"),
            "--tls-cert and --tls-key belong together",
        ),
        (
            "listen: 0.0.0.0:0\n".to_owned(),
            "refusing to serve on 0.0.0.0:0 to everybody",
        ),
        (
            "history: postgresql://db.example/boat?sslmodus=none\n".to_owned(),
            "there is no parameter sslmodus",
        ),
    ] {
        let (world, file) = world(&format!("drills: PLACE\n{more}"));
        for command in [&["config", "check"][..], &["serve"]] {
            let args = [command, &["--config", &file]].concat();
            let output = ran(&world, &args, &[]);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(3), "{command:?} {more}: {said}");
            assert!(said.contains(wanted), "{command:?} {more}: {said}");
        }
    }
    let nothing = ran(&good, &["config", "check"], &[]);
    assert!(text(&nothing).contains("no drill files are named"));
    let (world, file) = world(&format!(
        "drills: PLACE\ntlsCert: {cert}\ntlsKey: {key}\nlisten: 0.0.0.0:0\nkubernetesAuth: true\n"
    ));
    let all_good = ran(&world, &["config", "check", "--config", &file], &[]);
    assert_eq!(text(&all_good).trim(), "good, with 1 drills");
}

/// The lines of a log that are JSON; no field of a line is there twice.
fn lines(log: &str) -> Vec<Value> {
    let lines = log.lines().filter(|line| line.starts_with('{'));
    let read = |line: &str| {
        for name in ["run", "drill", "target", "level"] {
            let name = format!("\"{name}\":");
            assert!(line.matches(&name).count() <= 1, "{line}");
        }
        serde_json::from_str(line).unwrap()
    };
    lines.map(read).collect()
}

#[test]
fn every_line_of_a_run_says_so() {
    let (world, file) = world("logFormat: json\nlog: debug\n");
    let served = Served::start(&world, &["--config", &file]);
    let post = ("POST", "/api/v1/drills/app/runs");
    let spoilt = r#"{"negative_control":["row_byte"]}"#;
    let (status, body) = send(&served.address, post, &[], spoilt).unwrap();
    assert_eq!(status, 202, "{body}");
    let run = serde_json::from_str::<Value>(&body).unwrap()["run"].clone();
    let told = || lines(&served.log());
    until("the run's end is in the log", || {
        told().iter().any(|line| line["message"] == "run ended")
    });
    let told = told();
    let of_run = |message: &str, name: &str, what: &str| {
        let mut of_run = told.iter().filter(|line| line["message"] == message);
        let line = of_run.find(|line| line[name] == what);
        let line = line.unwrap_or_else(|| panic!("no {message}: {what}"));
        assert_eq!((&line["run"], &line["drill"]), (&run, &"app".into()));
        line["level"].clone()
    };
    for step in ["inspect", "capture", "restore", "verify"] {
        assert_eq!(of_run("step done", "step", step), "DEBUG");
    }
    assert_eq!(of_run("check failed", "check", "fingerprints"), "WARN");
    let audit = told.iter().find(|line| line["target"] == "audit").unwrap();
    assert_eq!((&audit["run"], &audit["status"]), (&run, &202.into()));
}

#[test]
fn a_run_of_the_command_line_is_in_its_log() {
    let (world, _) = world("");
    let drill = world.path("drills/app.yaml").display().to_string();
    let spoilt = ["run", &drill, "--negative-control", "row-byte"];
    let log = ["--log", "warn", "--log-format", "json"];
    let output = ran(&world, &[&spoilt[..], &log].concat(), &[]);
    let said = String::from_utf8(output.stderr).unwrap();
    let told = lines(&said);
    let failed = told.iter().find(|line| line["message"] == "check failed");
    let failed = failed.unwrap_or_else(|| panic!("{said}"));
    assert_eq!(
        (&failed["drill"], &failed["level"]),
        (&"app".into(), &"WARN".into())
    );
    assert_eq!(failed["run"], world.runs()[0]["id"], "{said}");
}

#[test]
fn a_log_for_machines_is_json_with_the_run() {
    let (world, file) = world("logFormat: json\n");
    let served = Served::start(&world, &["--config", &file]);
    let (status, body) = served.ask("POST", "/api/v1/drills/app/runs");
    assert_eq!(status, 202, "{body}");
    let run = serde_json::from_str::<Value>(&body).unwrap()["run"].clone();
    until("the run's end is in the log", || {
        lines(&served.log())
            .iter()
            .any(|line| line["run"] == run && line["verdict"] == "passed")
    });
}
