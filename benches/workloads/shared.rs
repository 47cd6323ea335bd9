//! A long history in PostgreSQL, and how many runs processes that share it begin
//! in a second.

use std::{
    io::{BufWriter, Write},
    process::Stdio,
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
    history::{
        older, on_disk, pages,
        plant::{COLUMNS, FIRES, plant},
        tallies,
        template::Run,
    },
};
use crate::harness::{self, Bench};

pub const WORKLOAD: Workload = Workload {
    name: "shared",
    about: "a long history in PostgreSQL, and processes that share it",
    run: measure,
};

/// So many runs are begun.
const BEGUN: u32 = 4_000;

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let runs = bench.options.scaled(bench.options.history, 1_000);
    let server = harness::Server::start();
    server.psql("postgres", "create database history");
    let host = server.host().display();
    let url = format!("postgresql:///history?host={host}&port=5432&user=postgres");
    let runtime = bench.runtime.clone();
    let history = runtime.block_on(SqlHistory::at(&url))?;
    let clock = SystemClock::new();
    let some = fill(&server, runs)?;
    bench.figure("filled in", clock.monotonic().as_secs_f64(), "seconds");
    let ask = |sql: &str| server.psql("history", sql).trim().to_owned();
    let size = "select pg_total_relation_size('runs') + pg_total_relation_size('fires')";
    let record = "select avg(length(packed)) from (select packed from runs limit 100000) as part";
    on_disk(bench, runs, ask(size).parse()?, ask(record).parse()?);
    pages(bench, &history, &some, runs)?;
    tallies(bench, &history)?;
    let work = |sql: &str| {
        server.psql("history", sql);
        Ok(())
    };
    older(bench, &history, work)?;
    let begun = bench.options.scaled(BEGUN, 40);
    let rows = rows(&server, begun)?;
    bench.figure("rows put in by pgbench, one by one", rows, "per second");
    for processes in [1, 2, 4] {
        let per_second = runtime.block_on(begin(&url, processes, begun))?;
        if processes == 1 {
            bench.figure("of them for each run begun", rows / per_second, "rows");
        }
        bench.figure(
            &format!("runs begun by {processes} processes, without limits"),
            per_second,
            "per second",
        );
    }
    Ok(())
}

fn fill(server: &harness::Server, runs: u32) -> anyhow::Result<Vec<Run>> {
    let mut copy = server
        .sql("history")
        .args(["-c", &format!("copy runs ({COLUMNS}) from stdin")])
        .stdin(Stdio::piped())
        .spawn()?;
    let mut lines = BufWriter::new(copy.stdin.take().context("no way to psql")?);
    let (some, counted) = plant(runs, |one| {
        let (id, drill, micros) = (one.run.id, &one.run.drill, one.run.at.as_microsecond());
        let (verdict, control) = (one.verdict, u8::from(one.control));
        let (owner, name) = (&one.owner, &one.last_write);
        let null = |ms: Option<u32>| ms.map_or("\\N".to_owned(), |ms| ms.to_string());
        let (rto, rpo) = (null(one.figures.rto_ms), null(one.figures.rpo_ms));
        let namespace = one.namespace.as_deref().unwrap_or("\\N");
        let proof = one.proof;
        write!(
            lines,
            "{id}\t{drill}\t{micros}\t{micros}\t{micros}\t{verdict}\t{control}\t{rto}\t{rpo}\t\
             {namespace}\t{proof}\t{owner}\t{name}\t\t\\\\x"
        )?;
        for byte in &one.packed {
            write!(lines, "{byte:02x}")?;
        }
        Ok(writeln!(lines)?)
    })?;
    lines.flush()?;
    drop(lines);
    anyhow::ensure!(copy.wait()?.success(), "the runs were not taken");
    let lines = counted.lines()?.into_iter();
    let lines = lines.map(|(drill, tally)| format!("('{drill}', '{tally}', 0)"));
    let lines: Vec<_> = lines.collect();
    for some in lines.chunks(100) {
        let sql = format!("insert into tallies values {}", some.join(", "));
        server.psql("history", &sql);
    }
    // Each drill has ended a run within the last hour.
    let sql = "update tallies set changed_at = \
               ((extract(epoch from now()) - floor(random() * 3600)) * 1000000)::bigint";
    server.psql("history", sql);
    // What the rows refer to need not be looked at once more.
    let fires = format!("set session_replication_role = replica; {FIRES}");
    server.psql("history", &fires);
    server.psql("history", "vacuum analyze");
    Ok(some)
}

/// How many transactions that put in one row, of a run's size, are made in a second
/// by as many connections as a process has.
fn rows(server: &harness::Server, number: u32) -> anyhow::Result<f64> {
    server.psql(
        "history",
        "create table bare (id uuid primary key, record text)",
    );
    let mut pgbench = server.client("pgbench", "history");
    pgbench.args(["-n", "-M", "prepared", "-c", "4", "-f", "/dev/stdin"]);
    let each = (number / 4).to_string();
    let mut pgbench = pgbench
        .args(["-t", &each])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut script = pgbench.stdin.take().context("no way to pgbench")?;
    script.write_all(b"insert into bare values (gen_random_uuid(), repeat('r', 1000));\n")?;
    drop(script);
    let said = pgbench.wait_with_output()?;
    let said = String::from_utf8_lossy(&said.stdout);
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "));
    let figure = line.and_then(|line| line.split(' ').next()?.parse().ok());
    figure.with_context(|| format!("pgbench says {said}"))
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
