//! A long history: how soon a page of it is there, and what a run takes on disk.

pub mod plant;
pub mod template;

use std::{path::Path, time::Duration};

use jiff::ToSpan as _;
use lifeboat::{
    clock::{Clock, SystemClock},
    history::{Filter, Place, Queries, sql::SqlHistory},
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
    pages(bench, &history, &some, runs)
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
        };
        let drill = any.drill.as_str();
        Ok(match self {
            Self::Newest => history.list(&of(None, None)).await?.len(),
            Self::OfDrill => {
                let drills = vec![drill.to_owned()];
                history.list(&of(Some(drills), None)).await?.len()
            }
            Self::Page => {
                let (requested_at, id) = (any.at, any.id);
                let place = Some(Place { requested_at, id });
                history.list(&of(None, place)).await?.len() + 1
            }
            Self::One => history.find(&any.id.to_string()).await?.len(),
            Self::OfTeam => {
                let drills = (0..DRILLS).step_by(100);
                let drills = drills.map(|drill| format!("drill-{drill}")).collect();
                history.list(&of(Some(drills), None)).await?.len()
            }
            Self::Concluded => history.concluded(None, any.at, 20).await?.len(),
            Self::Trend => {
                let since = any.at - (24 * 365).hours();
                history.concluded(Some(drill), since, 100).await?.len()
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
    let sql =
        format!("INSERT INTO runs ({COLUMNS}) VALUES (?1, ?2, ?3, ?3, ?3, ?4, ?5, ?6, ?7, '', ?8)");
    let mut insert = file.prepare(&sql)?;
    let mut lines = 0;
    let some = plant(runs, |one| {
        insert.execute((
            one.run.id.to_string(),
            &one.run.drill,
            one.run.at.as_microsecond(),
            one.verdict,
            one.control,
            &one.owner,
            &one.last_write,
            &one.packed,
        ))?;
        lines += 1;
        if lines % AT_ONCE == 0 {
            file.execute_batch("COMMIT; BEGIN")?;
        }
        Ok(())
    })?;
    file.execute_batch(&format!("{FIRES}; COMMIT; PRAGMA wal_checkpoint(TRUNCATE)"))?;
    file.execute_batch("ANALYZE")?;
    Ok(some)
}
