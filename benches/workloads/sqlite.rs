//! Whole drills of SQLite, many of them: the tests that kill live from it.

use std::path::{Path, PathBuf};

use lifeboat::{
    app::{App, StateDir},
    domain::verdict::Verdict,
    spec,
};
use rusqlite::Connection;
use tokio_util::sync::CancellationToken;

use super::Workload;
use crate::harness::{Bench, Contender, Owner};

pub const WORKLOAD: Workload = Workload {
    name: "sqlite",
    about: "whole drills of a small SQLite database against backup, check and removal by hand",
    run: measure,
};

/// Drills per measured run.
const MANY: u32 = 20;

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let many = if bench.options.smoke { 1 } else { MANY };
    let lifeboat = bench.lifeboat()?;
    let place = bench.directory("sqlite", Owner::Harness)?;
    let source = source(&place, 1000)?;
    let file = lifeboat.drill("sqlite", &drill(&source))?;
    let drill = spec::read(&file)?;
    let runtime = bench.runtime.clone();
    let state = StateDir::choose(Some(place.join("state")))?;
    let app = runtime.block_on(App::open(state, None))?;
    let in_process = || {
        for _ in 0..many {
            let run = app.run(&drill, &[], Vec::new(), CancellationToken::new());
            let record = runtime.block_on(run)?;
            anyhow::ensure!(record.verdict == Some(Verdict::Passed), "the drill failed");
        }
        Ok(())
    };
    let binary = "lifeboat run, one process each";
    let inside = "in one process";
    let comparison = bench.compare(
        &format!("{many} drills of 1,000 rows"),
        vec![
            Contender::ours(binary, || (0..many).try_for_each(|_| lifeboat.run(&file))),
            Contender::ours(inside, in_process),
            Contender::baseline("by hand", || {
                (0..many).try_for_each(|_| by_hand(&source, &place))
            }),
        ],
    )?;
    for label in [binary, inside] {
        let rate = f64::from(many) / comparison.median(label);
        bench.figure(&format!("drills per second, {label}"), rate, "/s");
    }
    Ok(())
}

/// A database with some rows.
pub fn source(place: &Path, rows: u32) -> anyhow::Result<PathBuf> {
    let path = place.join("source.db");
    let source = Connection::open(&path)?;
    source.execute_batch(&format!(
        "pragma journal_mode = wal; \
         create table item (id integer primary key, name text not null, price real); \
         with recursive n (i) as (select 1 union all select i + 1 from n where i < {rows}) \
         insert into item select i, 'item ' || i, i / 7.0 from n; \
         create index item_name on item (name);"
    ))?;
    Ok(path)
}

/// A drill of it.
pub fn drill(source: &Path) -> String {
    format!(
        "{{apiVersion: lifeboat.dev/v1alpha1, kind: Drill, metadata: {{name: bench}}, \
         spec: {{workload: {{sqlite: {{file: {}}}}}}}}}",
        source.display()
    )
}

/// The least one could do: back up, look at the copy, remove it.
fn by_hand(source: &Path, place: &Path) -> anyhow::Result<()> {
    let path = place.join("copy.db");
    let from = Connection::open(source)?;
    let mut to = Connection::open(&path)?;
    rusqlite::backup::Backup::new(&from, &mut to)?.step(-1)?;
    let sound: String = to.query_row("pragma integrity_check", [], |row| row.get(0))?;
    anyhow::ensure!(sound == "ok", "the copy is not sound: {sound}");
    drop(to);
    std::fs::remove_file(path)?;
    Ok(())
}
