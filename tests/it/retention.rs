//! What is old is forgotten: runs, fire times and reports go, what proves something
//! and what is counted stays. Runs the real binary.

use std::time::Duration;

use serde_json::Value;

use crate::{
    replicas::world as shared,
    support::{
        clock,
        postgres::SERVER,
        served::{Served, put, with_schedule},
        until,
        world::{SqliteFile, World, entries},
    },
};

/// Services with these state directories, whose clocks are so many seconds ahead.
fn services(world: &World<SqliteFile>, states: &[&str], ahead: i64, more: &[&str]) -> Vec<Served> {
    let numbered = states.iter().enumerate();
    let started = numbered.map(|(number, state)| {
        clock::set(world, number, ahead);
        Served::start_with(world, state, more, &[clock::of(world, number)])
    });
    started.collect()
}

/// Writes a drill that runs when somebody asks.
fn on_request(world: &World<SqliteFile>, name: &str) {
    let least = "  checks: { rowCounts: [ { table: t, min: 2 } ] }\n";
    let text = world.document(name, least);
    let text = text.replace("file: app.db", "file: ../app.db");
    put(&world.path("drills"), &format!("{name}.yaml"), &text);
}

/// Makes a run of a drill; gives its id.
fn run(served: &Served, drill: &str, verdict: &str) -> String {
    let run = served.promised(drill);
    let path = format!("/api/v1/runs/{run}");
    until("it has ended", || {
        served.get(&path)["finished_at"].is_string()
    });
    assert_eq!(served.get(&path)["verdict"], verdict);
    run
}

fn list(served: &Served, name: &str) -> Vec<Value> {
    let list = served.get(&format!("/api/v1/{name}?limit=100"));
    list[name].as_array().unwrap().clone()
}

fn ids(served: &Served) -> Vec<String> {
    let runs = list(served, "runs").into_iter();
    runs.map(|run| run["id"].as_str().unwrap().to_owned())
        .collect()
}

/// Does something to the source, or to the history.
fn execute(world: &World<SqliteFile>, file: &str, sql: &str) {
    let file = rusqlite::Connection::open(world.path(file)).unwrap();
    file.execute_batch(sql).unwrap();
}

/// Nothing goes on any more, nor will by itself.
fn is_at_rest(served: &Served) -> bool {
    let drills = served.get("/api/v1/drills");
    let mut drills = drills["drills"].as_array().unwrap().iter();
    drills.all(|drill| drill["schedule"].is_null() && drill["state"] == "idle")
}

/// Lets services make runs and let fire times pass, and stops them; gives the runs
/// that are to stay, oldest first, and what was counted.
fn an_old_history(world: &World<SqliteFile>, states: &[&str]) -> ([String; 3], Vec<String>) {
    on_request(world, "app");
    let mut services = services(world, states, 0, &[]);
    let one = &services[0];
    let [_, passed] = [(); 2].map(|()| run(one, "app", "passed"));
    execute(world, "app.db", "delete from t where id = 2");
    let [_, failed] = [(); 2].map(|()| run(one, "app", "failed"));
    execute(world, "app.db", "insert into t values (2, 'b', 'y')");
    let secondly = "cron: '* * * * * *'";
    with_schedule(world, "timed", secondly, "");
    with_schedule(world, "asleep", &format!("{secondly}, suspended: true"), "");
    until("there are runs and fire times of both", || {
        let runs = one.get("/api/v1/runs?drill=timed&verdict=passed");
        let asleep = one.get("/api/v1/fires?drill=asleep");
        runs["runs"].as_array().unwrap().len() > 2 && asleep["fires"].as_array().unwrap().len() > 2
    });
    on_request(world, "timed");
    on_request(world, "asleep");
    until("all are at rest", || services.iter().all(is_at_rest));
    let timed = ids(one)[0].clone();
    let counted = one.of_runs();
    for served in &mut services {
        until("it counts the same", || served.of_runs() == counted);
        assert_eq!(served.stop(), Some(0), "{}", served.log());
    }
    ([passed, failed, timed], counted)
}

/// All that is older than a second is forgotten two seconds later, and nothing of it
/// because one clock is ahead.
fn what_is_old_goes(world: &World<SqliteFile>, states: &[&str]) {
    let (staying, counted) = an_old_history(world, states);
    let reports = || -> usize {
        let of = |state: &&str| entries(&world.path(&format!("{state}/reports"))).len();
        states.iter().map(of).sum()
    };
    let runs = world.runs().len();
    assert!(runs >= 7 && reports() == runs, "{} of {runs}", reports());
    let fires = {
        let wrong = services(world, states, 2 * 3_600, &["--keep", "1h"]);
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(ids(&wrong[0]).len(), runs);
        list(&wrong[0], "fires").len()
    };
    assert!(fires > 5, "{fires}");
    let services = services(world, states, 0, &["--keep", "1s"]);
    for served in &services {
        until("what is old is gone", || ids(served).len() == 3);
        let mut left = ids(served);
        left.reverse();
        assert_eq!(left, staying);
        // The others' fire times are gone, too, and those that passed without a run.
        until("fire times are gone", || list(served, "fires").len() == 1);
        assert_eq!(list(served, "fires")[0]["run"], staying[2].as_str());
        until("it counts the same", || served.of_runs() == counted);
        for run in &staying {
            let drawn = served.ask("GET", &format!("/api/v1/runs/{run}/report"));
            assert!(
                drawn.0 == 200 && drawn.1.contains(run.as_str()),
                "{}",
                drawn.1
            );
        }
    }
    // They are drawn anew where somebody asks.
    until("all reports are gone", || reports() == 0);
    assert_eq!(world.runs().len(), 3);
}

#[test]
fn what_is_old_is_forgotten_and_counted_still() {
    let world = World::new(SqliteFile::make);
    what_is_old_goes(&world, &["state"]);
}

#[test]
fn what_is_old_is_forgotten_by_replicas() {
    let (world, _) = shared(&SERVER);
    what_is_old_goes(&world, &["state-0", "state-1"]);
}

/// More than are forgotten at once.
#[test]
fn however_many_fire_times_are_old_all_are_forgotten() {
    let world = World::new(SqliteFile::make);
    on_request(&world, "app");
    for mut served in services(&world, &["state"], 0, &[]) {
        assert_eq!(served.stop(), Some(0), "{}", served.log());
    }
    let many = "with recursive n (i) as (select 1 union all select i + 1 from n where i < 2500) \
                insert into fires (drill, scheduled_for, settled_at, outcome) \
                select 'app', i * 60000000, i * 60000000, 'suspended' from n";
    execute(&world, "state/history.db", many);
    let services = services(&world, &["state"], 0, &["--keep", "1h"]);
    until("all are gone", || list(&services[0], "fires").is_empty());
}
