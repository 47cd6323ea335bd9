//! A service that is asked to stop while a run goes on. Runs the real binary.

use nix::sys::signal::Signal;

use crate::{
    kill::SLOW,
    support::{
        served::{Served, put},
        until,
        world::{SqliteFile, World},
    },
};

/// A service in a run that does not end by itself, and that run. It has another
/// drill, `app`.
fn in_a_run(options: &[&str]) -> (World<SqliteFile>, Served, String) {
    let world = World::new(SqliteFile::make);
    for (name, more) in [("slow", SLOW), ("app", "")] {
        let drill = world.document(name, more);
        let drill = drill.replace("file: app.db", "file: ../app.db");
        put(&world.path("drills"), &format!("{name}.yaml"), &drill);
    }
    let served = Served::start(&world, options);
    let run = served.promised("slow");
    until("the copy serves", || {
        let record = served.get(&format!("/api/v1/runs/{run}"));
        let steps = record["steps"].as_array().unwrap();
        steps.iter().any(|step| step["step"] == "serve")
    });
    (world, served, run)
}

fn ended(served: &mut Served) -> Option<i32> {
    let mut status = None;
    until("the service has ended", || {
        status = served.ended();
        status.is_some()
    });
    status.unwrap().code()
}

#[test]
fn it_answers_until_its_last_run_has_ended() {
    let (world, mut served, run) = in_a_run(&["--grace", "10m"]);
    let stream = served.follow(&run);
    served.signal(Signal::SIGTERM);
    until("it is ready no more", || {
        served.ask("GET", "/readyz").0 == 503
    });
    assert_eq!(served.ask("GET", "/livez").0, 200);
    assert_eq!(served.metric("lifeboat_runs_running"), Some(1.0));
    let drill = served.get("/api/v1/drills/slow");
    assert_eq!(drill["run"], run.as_str(), "{drill}");
    let (status, body) = served.ask("POST", "/api/v1/drills/app/runs");
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("the service is stopping"), "{body}");
    let (status, body) = served.ask("POST", &format!("/api/v1/runs/{run}/cancel"));
    assert_eq!(status, 202, "{body}");
    let (status, told) = stream.whole().unwrap();
    assert_eq!(status, 200, "{told}");
    assert!(told.contains(r#""event":"finished""#), "{told}");
    assert_eq!(ended(&mut served), Some(0), "{}", served.log());
    let record = &world.runs()[0];
    assert_eq!(record["verdict"], "inconclusive", "{record}");
    let why = record["reasons"].to_string();
    assert!(why.contains("stopped on request"), "{why}");
    world.is_clean(1);
}

#[test]
fn a_run_that_outlasts_the_grace_says_why_it_was_ended() {
    let (world, mut served, _) = in_a_run(&["--grace", "1s"]);
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    let record = &world.runs()[0];
    assert_eq!(record["verdict"], "inconclusive", "{record}");
    let why = record["reasons"].to_string();
    assert!(
        why.contains("the service that made it was stopped"),
        "{why}"
    );
    world.is_clean(1);
}

/// Without waiting for anything: what it leaves is dealt with by the next one.
#[test]
fn asked_once_more_it_stops_at_once() {
    let (world, mut served, run) = in_a_run(&["--grace", "10m"]);
    served.signal(Signal::SIGTERM);
    until("it is ready no more", || {
        served.ask("GET", "/readyz").0 == 503
    });
    served.signal(Signal::SIGTERM);
    assert_eq!(ended(&mut served), Some(130), "{}", served.log());
    let next = Served::start(&world, &[]);
    let record = next.get(&format!("/api/v1/runs/{run}"));
    assert_eq!(record["interrupted"], true, "{record}");
    assert_eq!(record["verdict"], "inconclusive", "{record}");
    drop(next);
    world.is_clean(1);
}
