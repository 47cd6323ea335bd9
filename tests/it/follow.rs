//! Runs that are followed: to their end, whichever service makes them, and from
//! before they begin. Runs the real binary.

use std::collections::BTreeSet;

use lifeboat::domain::{event::Event, record::RunRecord, retold};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    kill::SLOW,
    replicas::{replica, world as shared},
    support::{
        asking::Answer,
        postgres::SERVER,
        served::{Served, put, token},
        until,
        world::{SqliteFile, World},
    },
};

/// Writes a drill of a team.
pub fn drill(world: &World<SqliteFile>, name: &str, team: &str, more: &str) {
    let text = world.document(name, more);
    let text = text.replace("file: app.db", "file: ../app.db");
    let labels = format!("{{ name: {name}, labels: {{ team: {team} }} }}");
    let text = text.replace(&format!("{{ name: {name} }}"), &labels);
    put(&world.path("drills"), &format!("{name}.yaml"), &text);
}

/// A drill that does not end by itself, and one that waits for it, as both are of
/// the same file.
fn drills(world: &World<SqliteFile>) {
    drill(world, "slow", "shop", SLOW);
    drill(world, "app", "pay", "");
}

fn record(served: &Served, run: &str) -> RunRecord {
    let record = served.get(&format!("/api/v1/runs/{run}"));
    serde_json::from_value(record).unwrap()
}

/// Waits until the history has it that a run serves, after which nothing more is
/// written of it while it makes its checks.
fn until_serving(served: &Served, run: &str) {
    until("the copy serves", || {
        let steps = record(served, run).steps;
        steps.iter().any(|step| step.step.name() == "serve")
    });
}

/// A service that makes a run that does not end by itself. Whoever is there too may
/// take up what was promised, so it is alone until the run serves.
fn owner_of_slow(world: &World<SqliteFile>) -> (Served, String) {
    let owner = replica(world, 0);
    let run = owner.promised("slow");
    until_serving(&owner, &run);
    (owner, run)
}

fn cancel(served: &Served, run: &str) {
    let (status, body) = served.ask("POST", &format!("/api/v1/runs/{run}/cancel"));
    assert_eq!(status, 202, "{body}");
}

/// All that a stream told until its end.
fn told(stream: Answer) -> Vec<Event> {
    let (status, text) = stream.whole().unwrap();
    assert_eq!(status, 200, "{text}");
    assert!(!text.contains("event:"), "something is lost: {text}");
    let lines = text.lines().filter_map(|line| line.strip_prefix("data:"));
    lines
        .map(|line| serde_json::from_str(line.trim()).unwrap())
        .collect()
}

/// What is the same of an event, whether it was heard or read from the record.
fn same(event: &Event) -> String {
    let mut json = serde_json::to_value(event).unwrap();
    let name = json["event"].as_str().unwrap().to_owned();
    let fields = json.as_object_mut().unwrap();
    // The record has no time of some, and that of steps by one clock alone.
    if name != "reached" {
        fields.remove("at");
    }
    if !name.starts_with("step_") && name != "reached" {
        fields.remove("offset_us");
    }
    fields.remove("elapsed_ms");
    json.to_string()
}

fn is_in_records(event: &Event) -> bool {
    let json = serde_json::to_value(event).unwrap();
    let name = json["event"].as_str().unwrap();
    name != "progress" && !name.starts_with("release_")
}

/// Each event is in the record, comes once, and nothing after the end. Gives them.
fn are_of(told: &[Event], record: &RunRecord) -> BTreeSet<String> {
    assert!(told.iter().all(|event| event.run == record.id));
    let kept: Vec<_> = told.iter().filter(|event| is_in_records(event)).collect();
    let all: BTreeSet<String> = kept.iter().map(|event| same(event)).collect();
    assert_eq!(all.len(), kept.len(), "something is told twice: {told:#?}");
    let known: BTreeSet<String> = retold::events(record).iter().map(same).collect();
    let unknown: Vec<_> = all.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:#?} of {known:#?}");
    ends_with_the_end(told);
    all
}

fn ends_with_the_end(told: &[Event]) {
    let json = serde_json::to_value(told.last().unwrap()).unwrap();
    assert_eq!(json["event"], "finished", "{told:#?}");
}

/// The same, and nothing of the record is missing.
fn are_all_of(told: &[Event], record: &RunRecord) {
    let all = are_of(told, record);
    assert_eq!(all.len(), retold::events(record).len(), "{all:#?}");
}

#[test]
fn a_live_run_is_followed_to_its_end() {
    let world = World::new(SqliteFile::make);
    drills(&world);
    let served = Served::start(&world, &[]);
    let run = served.promised("slow");
    let stream = served.follow(&run);
    until_serving(&served, &run);
    let late = served.follow(&run);
    cancel(&served, &run);
    let (told, late) = (told(stream), told(late));
    let record = record(&served, &run);
    are_of(&told, &record);
    let after = are_of(&late, &record);
    assert!(after.iter().any(|event| event.contains("concluded")));
    assert!(!after.iter().any(|event| event.contains("inspect")));
    let releases = |event: &&Event| !is_in_records(event);
    assert!(late.iter().any(|event| releases(&event)), "{late:#?}");
}

/// By the one that makes it, and by another one: from before it begins.
#[test]
fn a_run_that_waits_is_there_at_once_and_followed_by_any_replica() {
    let (world, _) = shared(&SERVER);
    drills(&world);
    let services = [replica(&world, 0), replica(&world, 1)];
    let slow = services[0].promised("slow");
    until_serving(&services[1], &slow);
    let key = [("idempotency-key", "deploy-7")];
    let asked = r#"{"profile":"fast-validate"}"#;
    let address = &services[0].address;
    let post = ("POST", "/api/v1/drills/app/runs");
    let answer = crate::support::asking::send(address, post, &key, asked);
    let (status, body) = answer.unwrap();
    assert_eq!(status, 202, "{body}");
    let run: Value = serde_json::from_str(&body).unwrap();
    let run = run["run"].as_str().unwrap();
    let streams = services.each_ref().map(|served| {
        let promised = served.get(&format!("/api/v1/runs/{run}"));
        assert_eq!(promised["progress"]["state"], "not_started", "{promised}");
        assert_eq!(promised["drill"], "app");
        assert_eq!(promised["engine"], "sqlite");
        assert_eq!(promised["request_key"], "deploy-7");
        assert_eq!(promised["profile"], "fast-validate");
        assert_eq!(promised["steps"], Value::Array(Vec::new()));
        let at = promised["requested_at"].as_str().unwrap();
        let ago = jiff::Timestamp::now().duration_since(at.parse().unwrap());
        assert!((0..60).contains(&ago.as_secs()), "{promised}");
        served.follow(run)
    });
    // Only those that have begun are in the list.
    let listed = services[1].get("/api/v1/runs?drill=app");
    assert_eq!(listed["runs"], Value::Array(Vec::new()));
    cancel(&services[1], &slow);
    let [here, there] = streams.map(told);
    let record = record(&services[1], run);
    assert_eq!(record.verdict.unwrap().name(), "passed", "{record:#?}");
    are_all_of(&here, &record);
    are_all_of(&there, &record);
    // Whichever of them makes it hears it live, the other one reads of it.
    let live = |told: &[Event]| told.iter().any(|event| !is_in_records(event));
    let (heard, read) = if live(&here) {
        (here, there)
    } else {
        (there, here)
    };
    assert!(live(&heard), "nothing was heard at once: {heard:#?}");
    assert!(!live(&read), "{read:#?}");
    let times = read.iter().map(|event| event.offset_us);
    assert!(times.is_sorted(), "{read:#?}");
}

#[test]
fn who_follows_a_run_is_told_of_its_end_when_its_owner_is_killed() {
    let (world, _) = shared(&SERVER);
    drills(&world);
    let (mut owner, run) = owner_of_slow(&world);
    let other = replica(&world, 1);
    let stream = other.follow(&run);
    owner.kill();
    let told = told(stream);
    let record = record(&other, &run);
    assert!(record.interrupted, "{record:#?}");
    let all = are_of(&told, &record);
    assert!(all.iter().any(|event| event.contains("inconclusive")));
}

/// It hears nothing more of the run that it has lost.
#[test]
fn who_follows_a_run_is_told_of_its_end_when_its_owner_was_held_up() {
    let (world, _) = shared(&SERVER);
    drills(&world);
    let (owner, run) = owner_of_slow(&world);
    let other = replica(&world, 1);
    let stream = owner.follow(&run);
    owner.signal(Signal::SIGSTOP);
    until("the other one has ended it", || {
        record(&other, &run).finished_at.is_some()
    });
    owner.signal(Signal::SIGCONT);
    ends_with_the_end(&told(stream));
}

#[test]
fn a_promise_is_for_the_drills_of_a_scope_and_may_be_taken_back() {
    let world = World::new(SqliteFile::make);
    drills(&world);
    let (all, first) = token(&world, &["all", "--role", "admin"]);
    let (shop, second) = token(&world, &["shop", "--role", "admin", "--label", "team=shop"]);
    let lines = format!("{first}{second}");
    let file = put(&world.path("secret"), "tokens.yaml", &lines);
    let mut served = Served::start(&world, &["--tokens", &file.display().to_string()]);
    served.token = Some(all.clone());
    let slow = served.promised("slow");
    until_serving(&served, &slow);
    let run = served.promised("app");
    let path = format!("/api/v1/runs/{run}");
    assert_eq!(served.get(&path)["drill"], "app");
    let stream = served.follow(&run);
    served.token = Some(shop);
    for path in [path.clone(), format!("{path}/events")] {
        let (status, body) = served.ask("GET", &path);
        assert_eq!(status, 404, "{path}: {body}");
    }
    served.token = Some(all);
    cancel(&served, &run);
    assert_eq!(told(stream), []);
    assert_eq!(served.ask("GET", &path).0, 404);
}
