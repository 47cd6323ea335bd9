//! The HTTP API under load, by wrk.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
};

use anyhow::Context as _;
use lifeboat::clock::{Clock, SystemClock};

use super::{Workload, history, idle::Service};
use crate::harness::{self, Bench, Limit};

pub const WORKLOAD: Workload = Workload {
    name: "api",
    about: "the HTTP API of a service with 10,000 drills and 200,000 runs, asked by wrk",
    run: measure,
};

const DRILLS: u32 = 10_000;
const RUNS: u32 = 200_000;

/// What is asked, by how many at once, and how long 99 of 100 answers may take,
/// in milliseconds.
const ASKED: [(&str, &str, u32, f64); 5] = [
    (
        "the newest runs of a drill",
        "/api/v1/runs?drill=drill-77",
        16,
        50.0,
    ),
    ("a page of all runs", "/api/v1/runs?limit=100", 16, 200.0),
    ("one drill", "/api/v1/drills/drill-77", 16, 200.0),
    ("all drills, by one alone", "/api/v1/drills", 1, 10.0),
    // Prometheus waits for ten seconds.
    ("metrics, by one alone", "/metrics", 1, 5_000.0),
];

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let Some(wrk) = std::env::var_os("LIFEBOAT_BENCH_WRK").filter(|path| !path.is_empty()) else {
        bench.left_out("the API under load", "LIFEBOAT_BENCH_WRK does not name wrk");
        return Ok(());
    };
    let drills = bench.options.scaled(DRILLS, 100);
    let runs = bench.options.scaled(RUNS, 1_000);
    let lifeboat = bench.lifeboat()?;
    // What makes the file is the service itself.
    harness::run(&mut lifeboat.command(["runs"]))?;
    history::fill(&lifeboat.state.join("history.db"), runs)?;
    let mut service = Service::start(bench, &lifeboat, "drill-", drills)?;
    let clock = SystemClock::new();
    let first = get(&service.address()?, "/metrics")?;
    let took = clock.monotonic().as_secs_f64();
    anyhow::ensure!(
        first.contains("lifeboat_runs_total"),
        "nothing is told of runs"
    );
    let what = format!("the first scrape after a start, of {drills} drills, in seconds");
    bench.goal(&what, took, Limit::AtMost(5.0));
    let all = get(&service.address()?, "/api/v1/runs?drill=drill-77")?;
    anyhow::ensure!(
        all.contains("\"verdict\":\"passed\""),
        "there are no runs: {all}"
    );
    let seconds = if bench.options.smoke { 1 } else { 15 };
    for (what, path, at_once, goal) in ASKED {
        let url = format!("http://{}{path}", service.address()?);
        let said = harness::output(
            Command::new(&wrk)
                .args(["--latency", "-t", "1", "-c", &at_once.to_string()])
                .args(["-d", &format!("{seconds}s")])
                .arg(url),
        )?;
        anyhow::ensure!(!said.contains("Non-2xx"), "{path}: {said}");
        let (p99, per_second) = read(&said).with_context(|| format!("wrk says {said}"))?;
        let what = format!("{what}, {at_once} at once");
        bench.figure(&what, per_second, "requests per second");
        bench.goal(&format!("{what}, p99 in ms"), p99, Limit::AtMost(goal));
    }
    service.stop()
}

fn get(address: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The 99th percentile in milliseconds, and requests per second.
fn read(said: &str) -> Option<(f64, f64)> {
    let after = |mark: &str| {
        let line = said.lines().find(|line| line.trim().starts_with(mark))?;
        Some(line.trim()[mark.len()..].trim())
    };
    let p99 = after("99%")?;
    let p99 = ["us", "ms", "s"]
        .into_iter()
        .zip([0.001, 1.0, 1_000.0])
        .find_map(|(unit, factor)| {
            let number: f64 = p99.strip_suffix(unit)?.parse().ok()?;
            Some(number * factor)
        });
    Some((p99?, after("Requests/sec:")?.parse().ok()?))
}
