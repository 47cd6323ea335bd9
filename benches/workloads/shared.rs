//! A long history in PostgreSQL, and how many runs processes that share it begin
//! in a second.

use std::{
    fs::File,
    io::{BufWriter, Write},
    sync::Arc,
};

use anyhow::Context as _;
use lifeboat::{
    clock::{Clock, SystemClock},
    domain::{budget::Demand, ids::RunId, record::RunRecord},
    history::sql::SqlHistory,
    runner::store::{Owner, RunStore},
};

use super::{
    Workload,
    history::{ASKED, RUNS, instant, pages, record},
};
use crate::harness::{self, Bench};

pub const WORKLOAD: Workload = Workload {
    name: "shared",
    about: "a history of a million runs in PostgreSQL, and processes that share it",
    run: measure,
};

/// So many runs are begun.
const BEGUN: u32 = 4_000;

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let runs = bench.options.scaled(RUNS, 1_000);
    let server = harness::Server::start();
    server.psql("postgres", "create database history");
    let host = server.host().display();
    let url = format!("postgresql:///history?host={host}&port=5432&user=postgres");
    let runtime = bench.runtime.clone();
    let history = runtime.block_on(SqlHistory::at(&url))?;
    let some = fill(bench, &server, runs)?;
    let size = server.psql("history", "select pg_total_relation_size('runs')");
    let size: u64 = size.trim().parse()?;
    bench.figure(
        "on disk, for each run",
        f64::from(u32::try_from(size / u64::from(runs))?),
        "bytes",
    );
    pages(bench, &history, &some, runs)?;
    let begun = bench.options.scaled(BEGUN, 40);
    for processes in [1, 2, 4] {
        let per_second = runtime.block_on(begin(&url, processes, begun))?;
        bench.figure(
            &format!("runs begun by {processes} processes, without limits"),
            per_second,
            "per second",
        );
    }
    Ok(())
}

fn fill(bench: &Bench, server: &harness::Server, runs: u32) -> anyhow::Result<Vec<RunRecord>> {
    let file = bench
        .directory("shared", harness::Owner::Harness)?
        .join("runs.tsv");
    let mut lines = BufWriter::new(File::create(&file)?);
    let mut some = Vec::new();
    for number in 0..runs {
        let at = instant(number)?;
        let record = record(number, at);
        let json = serde_json::to_string(&record).context("a record")?;
        let micros = at.as_microsecond();
        let (id, drill) = (record.id, &record.drill);
        writeln!(
            lines,
            "{id}\t{drill}\t{micros}\t{micros}\t{micros}\tpassed\t0\t{{}}\t{json}"
        )?;
        if number % ASKED == 0 {
            some.push(record);
        }
    }
    lines.flush()?;
    let copy = format!(
        "\\copy runs (id, drill, requested_at, finished_at, concluded_at, verdict, \
         negative_control, owner, record) from '{}'",
        file.display()
    );
    server.psql("history", &copy);
    std::fs::remove_file(file)?;
    server.psql("history", "vacuum analyze");
    Ok(some)
}

/// Begins runs of different drills from so many pools of connections at once.
async fn begin(url: &str, processes: u32, runs: u32) -> anyhow::Result<f64> {
    let mut histories = Vec::new();
    for _ in 0..processes {
        histories.push(Arc::new(SqlHistory::at(url).await?));
    }
    let clock = SystemClock::new();
    let begun = clock.monotonic();
    let mut tasks = Vec::new();
    for (process, history) in histories.into_iter().enumerate() {
        // As many at once as a process has connections.
        for lane in 0..4 {
            let history = history.clone();
            tasks.push(tokio::spawn(async move {
                for number in 0..runs / processes / 4 {
                    let at = SystemClock::new().now();
                    let drill = format!("b{processes}-{process}-{lane}-{number}");
                    let record = RunRecord::requested(RunId::new(at), &drill, "sqlite", at);
                    let demand = Demand::unlimited(Vec::new());
                    history.begin(&record, &owner(process), &demand).await?;
                }
                anyhow::Ok(())
            }));
        }
    }
    for task in tasks {
        task.await??;
    }
    let seconds = clock.monotonic().saturating_sub(begun).as_secs_f64();
    Ok(f64::from(runs / processes / 4 * 4 * processes) / seconds)
}

pub fn owner(process: usize) -> Owner {
    Owner {
        host: "bench".to_owned(),
        boot: "b".to_owned(),
        pid: u32::try_from(process).unwrap_or_default(),
        start_ticks: 1,
        service: true,
    }
}
