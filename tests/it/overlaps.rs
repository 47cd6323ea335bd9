//! What becomes of a fire time at which a run of its drill still goes on, here or in
//! another replica. Runs the real binary.

use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use crate::{
    due::{came, cron, fires, instant, soon},
    kill::SLOW,
    replicas::{replica, world as shared},
    support::{
        clock,
        postgres::SERVER,
        served::{Served, with_schedule},
        until,
        world::{SqliteFile, World},
    },
};

const SECONDLY: &str = "cron: '* * * * * *'";

/// The run that goes on of the drill `app`, by what one service does.
fn going_on(served: &Served) -> Option<String> {
    let drill = served.get("/api/v1/drills/app");
    let run = drill["run"]
        .as_str()
        .filter(|_| drill["state"] == "running");
    let run = run.filter(|run| {
        let (status, body) = served.ask("GET", &format!("/api/v1/runs/{run}"));
        status == 200 && body.contains("\"step\":\"serve\"")
    });
    run.map(str::to_owned)
}

/// Waits for another run than that one.
fn next_run(served: &Served, before: Option<&str>) -> String {
    let mut run = None;
    until("the next run goes on", || {
        run = going_on(served).filter(|run| Some(run.as_str()) != before);
        run.is_some()
    });
    run.unwrap()
}

fn record(served: &Served, run: &str) -> Value {
    served.get(&format!("/api/v1/runs/{run}"))
}

fn cancel(served: &Served, run: &str) {
    let (status, body) = served.ask("POST", &format!("/api/v1/runs/{run}/cancel"));
    assert_eq!(status, 202, "{body}");
}

/// It has given everything back, and ended for that reason.
fn ended(record: &Value, why: &str) {
    assert_eq!(record["verdict"], "inconclusive", "{record}");
    assert_eq!(record["cleanup"]["state"], "clean", "{record}");
    assert!(record["finished_at"].is_string(), "{record}");
    assert!(record["reasons"].to_string().contains(why), "{record}");
}

const REPLACED: &str = "the next run of the drill took its place";

#[test]
fn each_fire_time_takes_the_place_of_the_run_before() {
    let world = World::new(SqliteFile::make);
    with_schedule(
        &world,
        "app",
        &format!("{SECONDLY}, overlap: replace"),
        SLOW,
    );
    let mut served = Served::start(&world, &["--grace", "0s"]);
    let replaced = || {
        let runs = world.runs().into_iter();
        runs.filter(|run| run["finished_at"].is_string()).count()
    };
    until("some have been replaced", || replaced() > 2);
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    let runs = world.runs();
    for pair in runs.windows(2) {
        ended(&pair[1], REPLACED);
        // The newer one has begun when all was given back.
        let order = [&pair[1]["finished_at"], &pair[0]["requested_at"]];
        let [gone, begun] = order.map(|at| at.as_str().unwrap().parse::<Timestamp>().unwrap());
        assert!(gone <= begun, "{pair:#?}");
        assert!(instant(&pair[1], "scheduled_for") < instant(&pair[0], "scheduled_for"));
    }
    world.is_clean(runs.len());
}

#[test]
fn the_newest_fire_time_waits_for_the_run_before() {
    let world = World::new(SqliteFile::make);
    with_schedule(&world, "app", &format!("{SECONDLY}, overlap: wait"), SLOW);
    let mut served = Served::start(&world, &["--grace", "0s"]);
    let first = next_run(&served, None);
    until("several have come to wait", || {
        fires(&world, &served, "app").len() > 3
    });
    assert!(record(&served, &first)["finished_at"].is_null());
    cancel(&served, &first);
    let second = next_run(&served, Some(&first));
    let (first, second) = (record(&served, &first), record(&served, &second));
    ended(&first, "stopped on request");
    assert!(instant(&first, "finished_at") <= instant(&second, "requested_at"));
    let fires = fires(&world, &served, "app");
    let of = |run: &Value| fires.iter().position(|fire| fire["run"] == run["id"]);
    let (from, to) = (of(&first).unwrap(), of(&second).unwrap());
    let between = &fires[from + 1..to];
    assert!(between.len() > 2, "{fires:#?}");
    assert!(
        between.iter().all(|fire| came(fire) == "overlap"),
        "{fires:#?}"
    );
    // Nothing newer had come when it began.
    let waited = instant(&second, "requested_at").duration_since(instant(&second, "scheduled_for"));
    assert!(waited.as_secs() < 2, "{second}");
    assert_eq!(served.stop(), Some(0), "{}", served.log());
    world.is_clean(2);
}

/// It is not ended for a fire time, whatever the schedule says.
#[test]
fn a_run_that_was_promised_is_waited_for_until_it_is_too_late() {
    for overlap in ["wait", "replace"] {
        let world = World::new(SqliteFile::make);
        with_schedule(&world, "app", "cron: '@yearly'", SLOW);
        let mut served = Served::start(&world, &["--grace", "0s"]);
        let run = served.promised("app");
        assert_eq!(next_run(&served, None), run);
        let at = soon(4);
        let more = format!("startingDeadline: 2s, overlap: {overlap}");
        let schedule = format!("{}, {more}", cron(at, "UTC", "H"));
        with_schedule(&world, "app", &schedule, SLOW);
        until("it passes", || !fires(&world, &served, "app").is_empty());
        let fires = fires(&world, &served, "app");
        let told = (came(&fires[0]), instant(&fires[0], "scheduled_for"));
        assert_eq!((fires.len(), told), (1, ("overlap", at)));
        assert!(Timestamp::now() >= at + Duration::from_secs(2));
        assert_eq!(going_on(&served), Some(run));
        assert_eq!(served.stop(), Some(0), "{}", served.log());
        world.is_clean(1);
    }
}

/// A replica whose run goes on, and another one at whose clock the next fire time
/// is only seconds ahead.
fn two_replicas(overlap: &str) -> (World<SqliteFile>, [Served; 2], String) {
    let (world, _) = shared(&SERVER);
    let first = soon(4);
    let second = TimeZone::UTC.to_datetime(first).second();
    let schedule = format!("cron: '{second} * * * * *', overlap: {overlap}");
    with_schedule(&world, "app", &schedule, SLOW);
    let one = replica(&world, 0);
    let run = next_run(&one, None);
    let begun = record(&one, &run);
    assert_eq!(instant(&begun, "scheduled_for"), first);
    let since = Timestamp::now().duration_since(first).as_secs();
    clock::set(&world, 1, 60 - 3 - since);
    let other = replica(&world, 1);
    (world, [one, other], run)
}

/// The run that the other replica makes at its fire time, a minute after the first
/// one's; and the first one's record, when it has begun.
fn of_the_other(services: &[Served; 2], first: &str) -> (Value, Value) {
    let run = next_run(&services[1], Some(first));
    let [first, second] = [first, &run].map(|run| record(&services[0], run));
    let apart = instant(&second, "scheduled_for").duration_since(instant(&first, "scheduled_for"));
    assert_eq!(apart.as_secs(), 60, "{second}");
    (first, second)
}

#[test]
fn a_run_of_another_replica_is_ended_for_the_next_one() {
    let (world, services, run) = two_replicas("replace");
    let (first, second) = of_the_other(&services, &run);
    ended(&first, REPLACED);
    assert_eq!(world.runs().len(), 2);
    cancel(&services[0], second["id"].as_str().unwrap());
    until("it has ended by way of the other one", || {
        world.runs()[0]["finished_at"].is_string()
    });
}

#[test]
fn a_run_of_another_replica_is_waited_for() {
    let (world, services, run) = two_replicas("wait");
    let [one, other] = &services;
    until("it is waited for", || {
        other.get("/api/v1/drills/app")["state"] == "waiting"
    });
    // For longer than it takes to ask once more.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(going_on(one), Some(run.clone()));
    assert_eq!(other.get("/api/v1/drills/app")["state"], "waiting");
    assert_eq!(world.runs().len(), 1);
    cancel(one, &run);
    let (first, second) = of_the_other(&services, &run);
    ended(&first, "stopped on request");
    let told: Vec<_> = fires(&world, other, "app");
    assert!(told.iter().all(|fire| came(fire) == "started"), "{told:#?}");
    cancel(one, second["id"].as_str().unwrap());
    until("it has ended by way of the other one", || {
        world.runs()[0]["finished_at"].is_string()
    });
}
