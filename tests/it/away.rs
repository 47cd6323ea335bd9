//! A history that is out of reach for a while: what a service tells meanwhile. Runs
//! the real binary and a real PostgreSQL.

use std::path::Path;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    replicas::{replica, world},
    support::{
        postgres::{BINARIES, Server},
        served::{Served, scheduled},
        until,
    },
};

const ERRORS: &str = "lifeboat_history_errors_total";

/// What is told of runs, the counts of errors aside.
fn told(service: &Served) -> Vec<String> {
    let mut lines = service.of_runs();
    lines.retain(|line| !line.contains(ERRORS));
    lines
}

/// An alert that fires because of a drill must not be resolved because nobody can
/// read how the drill stands, and fire anew afterwards.
#[test]
fn metrics_stay_as_they_were_last_read() {
    let server = Server::start(Path::new(BINARIES), &[]);
    let (world, _) = world(&server);
    scheduled(&world, "app", "@yearly");
    let service = replica(&world, 0);
    service.promised("app");
    let passed = "lifeboat_runs_total{drill=\"app\",verdict=\"passed\"}";
    until("the run is counted", || {
        service.metric(passed) == Some(1.0) && service.metric("lifeboat_runs_running") == Some(0.0)
    });
    let (before, errors) = (told(&service), service.metric(ERRORS).unwrap());
    assert_eq!(service.ask("GET", "/readyz").0, 200);
    server.stop();
    until("it is ready no more", || {
        service.ask("GET", "/readyz").0 == 503
    });
    assert_eq!(service.ask("GET", "/livez").0, 200);
    assert_eq!(told(&service), before);
    let refused = service.metric(ERRORS).unwrap();
    assert!(refused > errors);
    server.start_again();
    until("it is ready again", || {
        service.ask("GET", "/readyz").0 == 200
    });
    assert_eq!(told(&service), before);

    // One that says nothing at all is not waited for.
    let processes = processes(&server);
    signal(&processes, Signal::SIGSTOP);
    assert_eq!(told(&service), before);
    let silent = service.metric(ERRORS).unwrap();
    signal(&processes, Signal::SIGCONT);
    assert!(silent > refused, "the server was not silent");
}

/// All of a server.
fn processes(server: &Server) -> Vec<Pid> {
    let file = server.directory.join("data/postmaster.pid");
    let text = std::fs::read_to_string(file).unwrap();
    let first = text.lines().next().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children"));
    let children = children.unwrap();
    let all = [first].into_iter().chain(children.split_whitespace());
    all.map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

fn signal(processes: &[Pid], with: Signal) {
    for process in processes {
        // One of a connection may have ended.
        let _ = kill(*process, with);
    }
}
