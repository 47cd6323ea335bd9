//! A long history: how soon a page of it is there, and what a run takes on disk.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use lifeboat::{
    clock::{Clock, SystemClock},
    domain::{
        ids::RunId,
        record::RunRecord,
        verdict::{Cleanup, Verdict},
    },
    history::{Filter, Queries, sql::SqlHistory},
};

use super::Workload;
use crate::harness::{Bench, Limit, Owner};

pub const WORKLOAD: Workload = Workload {
    name: "history",
    about: "reading a history of a million runs",
    run: measure,
};

pub const RUNS: u32 = 1_000_000;
const DRILLS: u32 = 10_000;
/// Half a minute lies between two runs.
const APART: i64 = 30;

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let runs = bench.options.scaled(RUNS, 1_000);
    let path = bench
        .directory("history", Owner::Harness)?
        .join("history.db");
    let runtime = bench.runtime.clone();
    let history = runtime.block_on(SqlHistory::in_file(&path))?;
    let ids = fill(&path, runs)?;
    let size = std::fs::metadata(&path)?.len();
    bench.figure(
        "on disk, for each run",
        f64::from(u32::try_from(size / u64::from(runs))?),
        "bytes",
    );
    pages(bench, &history, &ids, runs)
}

/// How soon pages are there.
pub fn pages(
    bench: &mut Bench,
    history: &SqlHistory,
    ids: &[RunRecord],
    runs: u32,
) -> anyhow::Result<()> {
    let runtime = bench.runtime.clone();
    let rounds = if bench.options.smoke { 20 } else { 500 };
    for (what, question) in [
        ("the newest runs", Question::Newest),
        ("the newest runs of a drill", Question::OfDrill),
        ("a page in the middle", Question::Page),
        ("one run", Question::One),
        ("what was concluded lately", Question::Concluded),
    ] {
        let clock = SystemClock::new();
        let mut times = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let any = &ids[round * 7_919 % ids.len()];
            let begun = clock.monotonic();
            let found = runtime.block_on(question.ask(history, any))?;
            times.push(clock.monotonic().saturating_sub(begun));
            anyhow::ensure!(found > 0, "{what}: nothing was found");
        }
        times.sort();
        let p99 = times[times.len() * 99 / 100];
        bench.goal(
            &format!("{what}, p99 of {rounds} in ms, of {runs} runs"),
            p99.as_secs_f64() * 1_000.0,
            Limit::AtMost(5.0),
        );
    }
    Ok(())
}

/// What a page or a scrape asks.
enum Question {
    Newest,
    OfDrill,
    Page,
    One,
    Concluded,
}

impl Question {
    /// Gives how many runs were found.
    async fn ask(&self, history: &SqlHistory, any: &RunRecord) -> anyhow::Result<usize> {
        let of = |drill: Option<String>, after| Filter {
            drills: drill.map(|drill| vec![drill]),
            after,
            limit: Some(20),
        };
        Ok(match self {
            Self::Newest => history.list(&of(None, None)).await?.len(),
            Self::OfDrill => history
                .list(&of(Some(any.drill.clone()), None))
                .await?
                .len(),
            Self::Page => history.list(&of(None, Some(any.into()))).await?.len() + 1,
            Self::One => history.find(&any.id.to_string()).await?.len(),
            Self::Concluded => {
                let since = any.requested_at;
                history.concluded(None, since, 20).await?.len()
            }
        })
    }
}

/// When the run of a number was requested.
pub fn instant(number: u32) -> anyhow::Result<Timestamp> {
    let begin = Timestamp::from_second(1_700_000_000)?;
    Ok(begin + Duration::from_secs(u64::try_from(APART)? * u64::from(number)))
}

/// Of so many runs one is asked for.
pub const ASKED: u32 = 97;

/// Fills the history as its runs would; gives some of them.
pub fn fill(path: &std::path::Path, runs: u32) -> anyhow::Result<Vec<RunRecord>> {
    let mut file = rusqlite::Connection::open(path)?;
    file.execute_batch("PRAGMA synchronous = off")?;
    let transaction = file.transaction()?;
    let mut some = Vec::new();
    {
        let sql = "INSERT INTO runs (id, drill, requested_at, finished_at, concluded_at, verdict, \
                   negative_control, owner, record) VALUES (?1, ?2, ?3, ?3, ?3, 'passed', 0, '{}', ?4)";
        let mut insert = transaction.prepare(sql)?;
        for number in 0..runs {
            let at = instant(number)?;
            let record = record(number, at);
            let json = serde_json::to_string(&record).context("a record")?;
            let row = (
                record.id.to_string(),
                &record.drill,
                at.as_microsecond(),
                json,
            );
            insert.execute(row)?;
            if number % ASKED == 0 {
                some.push(record);
            }
        }
    }
    transaction.commit()?;
    file.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); ANALYZE")?;
    Ok(some)
}

pub fn record(number: u32, at: Timestamp) -> RunRecord {
    let drill = format!("drill-{}", number % DRILLS);
    let mut record = RunRecord::requested(RunId::new(at), &drill, "postgresql", at);
    record.verdict = Some(Verdict::Passed);
    record.cleanup = Cleanup::Clean;
    record.finished_at = Some(at);
    // As much as a record of some checks has.
    record.notes = vec!["x".repeat(200); 8];
    record
}
