//! A long history: how soon a page of it is there, and what a run takes on disk.

mod counted;
pub mod plant;
pub mod template;

use std::{path::Path, time::Duration};

use lifeboat::{
    clock::{Clock, SystemClock},
    history::{
        Filter, Place, Queries,
        sql::SqlHistory,
        tallies::{Followed, Tallies, Trend},
    },
};

use self::{
    plant::{COLUMNS, DRILLS, FIRES, plant},
    template::Run,
};
use super::Workload;
use crate::harness::{Bench, Limit, Owner};

pub const WORKLOAD: Workload = Workload {
    name: "history",
    about: "reading a long history",
    run: measure,
};

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let runs = bench.options.scaled(bench.options.history, 1_000);
    let path = bench
        .directory("history", Owner::Harness)?
        .join("history.db");
    let runtime = bench.runtime.clone();
    let history = runtime.block_on(SqlHistory::in_file(&path))?;
    let clock = SystemClock::new();
    let some = fill(&path, runs)?;
    bench.figure("filled in", clock.monotonic().as_secs_f64(), "seconds");
    let file = rusqlite::Connection::open(&path)?;
    let record = "SELECT avg(length(packed)) FROM (SELECT packed FROM runs LIMIT 100000)";
    let record = file.query_row(record, [], |row| row.get(0))?;
    let size = std::fs::metadata(&path)?.len();
    on_disk(bench, runs, size, record);
    pages(bench, &history, &some, runs)?;
    tallies(bench, &history)?;
    older(bench, &history, |sql| Ok(file.execute_batch(sql)?))
}

/// What a run takes, with all that is found by, and its fire time.
#[expect(clippy::cast_precision_loss, reason = "far from 2^53")]
pub fn on_disk(bench: &mut Bench, runs: u32, size: u64, record: f64) {
    let run = size as f64 / f64::from(runs);
    bench.figure("on disk, for each run", run, "bytes");
    bench.figure("of it the record, packed", record, "bytes");
}

/// How soon pages are there.
pub fn pages(
    bench: &mut Bench,
    history: &SqlHistory,
    some: &[Run],
    runs: u32,
) -> anyhow::Result<()> {
    let runtime = bench.runtime.clone();
    let rounds = if bench.options.smoke { 20 } else { 500 };
    for (what, question) in [
        ("the newest runs", Question::Newest),
        ("the newest runs of a drill", Question::OfDrill),
        ("a page in the middle", Question::Page),
        ("one run", Question::One),
        ("the newest runs of a team's 100 drills", Question::OfTeam),
        ("what was concluded lately", Question::Concluded),
        ("the trend of a drill, of 100 runs", Question::Trend),
    ] {
        let clock = SystemClock::new();
        let mut times = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let any = &some[round * 7_919 % some.len()];
            let begun = clock.monotonic();
            let found = runtime.block_on(question.ask(history, any))?;
            times.push(clock.monotonic().saturating_sub(begun));
            anyhow::ensure!(found > 0, "{what}: nothing was found");
        }
        times.sort();
        let median = times[times.len() / 2];
        bench.figure(&format!("{what}, median"), millis(median), "ms");
        let p99 = times[times.len() * 99 / 100];
        bench.goal(
            &format!("{what}, p99 of {rounds} in ms, of {runs} runs"),
            millis(p99),
            Limit::AtMost(5.0),
        );
    }
    Ok(())
}

/// How soon a process that has just begun knows what to tell of all drills, and one
/// that goes on.
pub fn tallies(bench: &mut Bench, history: &SqlHistory) -> anyhow::Result<()> {
    let runtime = bench.runtime.clone();
    let clock = SystemClock::new();
    let followed = Followed::default();
    for (what, most, limit) in [
        (
            "the tallies of all drills, for the first scrape",
            20,
            1_000.0,
        ),
        (
            "what changed of them, for a scrape or the fleet's page",
            500,
            10.0,
        ),
    ] {
        let rounds = if bench.options.smoke { 5 } else { most };
        let mut times = Vec::with_capacity(rounds);
        let mut drills = 0;
        for _ in 0..rounds {
            let first = Followed::default();
            let of = if most == 20 { &first } else { &followed };
            let begun = clock.monotonic();
            drills = runtime.block_on(of.now(history))?.tallies.len();
            times.push(clock.monotonic().saturating_sub(begun));
        }
        times.sort();
        bench.figure(&format!("{what}, median"), millis(times[rounds / 2]), "ms");
        bench.goal(
            &format!("{what}, p99 of {rounds} in ms, of {drills} drills"),
            millis(times[rounds * 99 / 100]),
            Limit::AtMost(limit),
        );
    }
    Ok(())
}

/// How fast runs are counted that an older version concluded; `work` does a statement
/// in the history. They are counted twice by it.
pub fn older(
    bench: &mut Bench,
    history: &SqlHistory,
    work: impl FnOnce(&str) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runs = bench.options.scaled(20_000, 500);
    work(&format!(
        "UPDATE runs SET proof = NULL WHERE id IN \
         (SELECT id FROM runs ORDER BY concluded_at DESC LIMIT {runs})"
    ))?;
    let runtime = bench.runtime.clone();
    let clock = SystemClock::new();
    let counted = runtime.block_on(async {
        let (mut all, mut until) = (0, None);
        loop {
            let bite = history.catch_up(until, 200).await?;
            all += bite.runs;
            match bite.next {
                Some(next) => until = Some(next),
                None => return anyhow::Ok(all),
            }
        }
    })?;
    anyhow::ensure!(counted == runs as usize, "{counted} runs were counted");
    let per_second = f64::from(runs) / clock.monotonic().as_secs_f64();
    bench.figure(
        "runs of an older version that are counted",
        per_second,
        "per second",
    );
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// What a page or a scrape asks.
enum Question {
    Newest,
    OfDrill,
    Page,
    One,
    OfTeam,
    Concluded,
    Trend,
}

impl Question {
    /// Gives how many runs were found.
    async fn ask(&self, history: &SqlHistory, any: &Run) -> anyhow::Result<usize> {
        let of = |drills: Option<Vec<String>>, after| Filter {
            drills,
            after,
            limit: Some(20),
            ..Filter::default()
        };
        let drill = any.drill.as_str();
        Ok(match self {
            Self::Newest => history.summaries(&of(None, None)).await?.len(),
            Self::OfDrill => {
                let drills = vec![drill.to_owned()];
                history.summaries(&of(Some(drills), None)).await?.len()
            }
            Self::Page => {
                let (requested_at, id) = (any.at, any.id);
                let place = Some(Place { requested_at, id });
                history.summaries(&of(None, place)).await?.len() + 1
            }
            Self::One => history.find(&any.id.to_string()).await?.len(),
            Self::OfTeam => {
                let drills = (0..DRILLS).step_by(100);
                let drills = drills.map(|drill| format!("drill-{drill}")).collect();
                history.summaries(&of(Some(drills), None)).await?.len()
            }
            Self::Concluded => history.concluded(any.at, 20).await?.len(),
            Self::Trend => {
                let wanted = Trend {
                    drill: drill.to_owned(),
                    namespaces: None,
                    after: None,
                    limit: 100,
                };
                history.trend(&wanted).await?.len()
            }
        })
    }
}

/// Fills the history as its runs would; gives some of them.
pub fn fill(path: &Path, runs: u32) -> anyhow::Result<Vec<Run>> {
    /// So many lines are written before the log is emptied into the file.
    const AT_ONCE: u32 = 100_000;
    let file = rusqlite::Connection::open(path)?;
    file.execute_batch("PRAGMA synchronous = off; PRAGMA cache_size = -500000; BEGIN")?;
    let sql = format!(
        "INSERT INTO runs ({COLUMNS}) VALUES (?1, ?2, ?3, ?3, ?3, ?4, ?5, ?9, ?10, ?11, ?12, ?6, ?7, '', ?8)"
    );
    let mut insert = file.prepare(&sql)?;
    let mut lines = 0;
    let (some, counted) = plant(runs, |one| {
        insert.execute(rusqlite::params![
            one.run.id.to_string(),
            &one.run.drill,
            one.run.at.as_microsecond(),
            one.verdict,
            one.control,
            &one.owner,
            &one.last_write,
            &one.packed,
            one.figures.rto_ms,
            one.figures.rpo_ms,
            &one.namespace,
            one.proof,
        ])?;
        lines += 1;
        if lines % AT_ONCE == 0 {
            file.execute_batch("COMMIT; BEGIN")?;
        }
        Ok(())
    })?;
    let mut insert = file.prepare("INSERT INTO tallies VALUES (?1, ?2, 0)")?;
    for line in counted.lines()? {
        insert.execute(line)?;
    }
    drop(insert);
    // Each drill has ended a run within the last hour.
    file.execute_batch(
        "UPDATE tallies SET changed_at = \
         CAST((unixepoch('subsec') - abs(random()) % 3600) * 1000000 AS INTEGER)",
    )?;
    file.execute_batch(&format!("{FIRES}; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)"))?;
    file.execute_batch("ANALYZE")?;
    Ok(some)
}
