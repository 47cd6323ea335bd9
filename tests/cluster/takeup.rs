//! A service that is killed, or stops and leaves its runs, while a copy is brought up
//! and checked: the copy goes on, and the service that starts next takes the run up.

use std::{path::Path, time::Duration};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    asking::ask,
    needs_cluster,
    support::{
        kubectl::{kubectl, leftovers, until},
        lifeboat::{CHECKS, Lifeboat, between, is_proven_exact},
        progress::sandbox_of,
        serving::Serving,
        source::Source,
    },
};

/// Longer than the recovery of so little data takes.
const AWAY: Duration = Duration::from_secs(15);

/// How far what was heard at once may be from what the agent says, in
/// microseconds: as long as a line takes.
const CLOCKS: i64 = 500_000;

struct Service {
    serving: Serving,
    address: String,
}

impl Service {
    fn start(lifeboat: &Lifeboat, drill: &Path) -> Self {
        let serving = Serving::start(lifeboat, drill, &["--park", "--grace", "100ms"]);
        let address = serving.address();
        Self { serving, address }
    }

    fn json(&self, method: &str, path: &str) -> Value {
        let answer = ask(&self.address, method, path, &[]);
        let (status, body) = answer.unwrap_or_else(|| panic!("no answer: {}", self.serving.said()));
        assert!(status < 300, "{status}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// When the agent reached a milestone, by its own clock.
fn of_agent(lines: &str, milestone: &str) -> Option<i64> {
    let lines = lines.lines();
    let mut lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let line = lines.find(|line| line["it"]["milestone"] == milestone)?;
    line["us"].as_i64()
}

/// Ended once a step is done, and started again later.
fn ended_after(step: &str, name: &str, how: Signal) {
    let mut source = Source::new(name);
    source.keep_writing();
    let lifeboat = Lifeboat::new();
    // All that can be checked, and a check that takes its time.
    let long = " }, { name: long, expect: some rows, sql: select pg_sleep(10) } ]";
    let drill = lifeboat.drill(&source, true, "", &CHECKS.replace(" } ]", long));
    let first = Service::start(&lifeboat, &drill);
    let asked = first.json("POST", &format!("/api/v1/drills/{}/runs", source.namespace));
    let run = asked["run"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/runs/{run}");
    until("the step is done", || {
        let Some((200, body)) = ask(&first.address, "GET", &path, &[]) else {
            return false;
        };
        let record: Value = serde_json::from_str(&body).unwrap();
        let steps = record["steps"].as_array().unwrap();
        steps
            .iter()
            .any(|one| one["step"] == step && !one["elapsed_us"].is_null())
    });
    first.serving.end(how);
    let sandbox = sandbox_of(&source);
    std::thread::sleep(AWAY);
    let lines = kubectl(&["-n", &sandbox, "logs", "db-0", "-c", "lifeboat-agent"]);

    let second = Service::start(&lifeboat, &drill);
    let mut record = Value::Null;
    until("the run has ended", || {
        record = second.json("GET", &path);
        record["finished_at"].is_string()
    });
    is_proven_exact(&record);
    assert_eq!(record["interrupted"], false);
    let notes = record["notes"].as_array().unwrap();
    let taken_up = |note: &Value| note.as_str().unwrap().contains("another one took it up");
    assert!(notes.iter().any(taken_up), "{record:#}");
    // By the agent's own clock, and as if the service had been there.
    let (ready, served) = ("accepting", "serving");
    let by_agent = of_agent(&lines, served).unwrap() - of_agent(&lines, ready).unwrap();
    let off = between(&record, ready, served) - by_agent;
    assert!(off.abs() < CLOCKS, "{off} us off: {record:#}");
    let away = i64::try_from(AWAY.as_micros()).unwrap();
    assert!(between(&record, served, "released") >= away, "{record:#}");
    let rto = record["rto"]["measured_ms"].as_i64().unwrap();
    assert_eq!(between(&record, "declared", served) / 1000, rto);
    assert_eq!(record["cleanup"]["state"], "clean", "{record:#}");
    assert_eq!(leftovers(&run), Vec::<String>::new());
}

#[test]
fn a_restore_goes_on_without_the_service() {
    needs_cluster!();
    ended_after("start", "taken-up", Signal::SIGKILL);
}

#[test]
fn checks_go_on_without_the_service() {
    needs_cluster!();
    ended_after("serve", "checked-on", Signal::SIGTERM);
}
