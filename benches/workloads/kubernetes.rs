//! A hundred drills at once on a fake of a cluster: how soon Lifeboat goes on
//! when something is ready, how often it asks, and the memory that takes. Beside
//! them one drill in a process that has no other, and both with all rights and
//! with those that Lifeboat's own account has.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures_util::future::join_all;
use lifeboat::{
    app::{App, StateDir},
    domain::verdict::{Cleanup, Verdict},
    spec::{self, drill::Drill},
};
use tokio_util::sync::CancellationToken;

use super::Workload;
use crate::{
    harness::{Bench, Limit, Owner, anonymous_memory},
    kubernetes::{
        Fake, Pace, Ready,
        world::{self, From},
    },
};

pub const WORKLOAD: Workload = Workload {
    name: "kubernetes",
    about: "100 drills at once on a fake of a cluster",
    run: measure,
};

const DRILLS: usize = 100;
const MIB: f64 = 1024.0 * 1024.0;

/// Drills that take some seconds, as nothing waits for a processor then.
fn pace() -> Pace {
    Pace {
        controller: Duration::from_millis(400),
        agent: Duration::from_millis(400),
        verify: Duration::from_secs(4),
        beat: Duration::from_secs(1),
    }
}

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let count = if bench.options.smoke { 3 } else { DRILLS };
    let pace = if bench.options.smoke {
        Pace::default()
    } else {
        pace()
    };
    let home = bench.directory("kubernetes", Owner::Harness)?;
    let runtime = bench.runtime.clone();
    for (from, what) in [(From::Snapshot, "snapshots"), (From::Dump, "dumps")] {
        for (restricted, whose) in [(false, ""), (true, ", as Lifeboat's account")] {
            let seen = |count: usize| {
                let directory = home.join(format!("{what}-{restricted}-{count}"));
                std::fs::create_dir_all(&directory)?;
                let drills = drills(count, (from, restricted), pace.clone(), directory);
                runtime.block_on(drills)
            };
            let (all, alone) = (seen(count)?, seen(1)?);
            tell(bench, &format!("{count} drills of {what}{whose}"), &all);
            let name = format!("one drill of {what}{whose}, requests");
            bench.figure(&name, alone.requests, "");
        }
    }
    Ok(())
}

/// What was seen.
struct Seen {
    /// From each readiness to what follows, in order.
    reactions: Vec<Duration>,
    /// Of each drill.
    requests: f64,
    before: u64,
    most: u64,
}

fn tell(bench: &mut Bench, what: &str, seen: &Seen) {
    let at = |part: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a short list"
        )]
        let place = (part * (seen.reactions.len() - 1) as f64).round() as usize;
        seen.reactions[place].as_secs_f64() * 1000.0
    };
    bench.goal(
        &format!("{what}, ready to next, p50 in ms"),
        at(0.5),
        Limit::AtMost(5.0),
    );
    bench.goal(
        &format!("{what}, ready to next, p99 in ms"),
        at(0.99),
        Limit::AtMost(50.0),
    );
    #[expect(clippy::cast_precision_loss, reason = "far from 2^53")]
    let [before, most] = [seen.before as f64 / MIB, seen.most as f64 / MIB];
    bench.goal(
        &format!("{what}, requests per drill"),
        seen.requests,
        Limit::AtMost(20.0),
    );
    bench.figure(&format!("{what}, memory before"), before, "MiB");
    bench.figure(
        &format!("{what}, most memory, with the fake's own"),
        most,
        "MiB",
    );
}

/// Runs that many drills at once, with a connection of their own; `restricted`
/// to what the manifests give to Lifeboat's account.
async fn drills(
    count: usize,
    (from, restricted): (From, bool),
    pace: Pace,
    directory: PathBuf,
) -> anyhow::Result<Seen> {
    let fake = Fake::start(pace).await;
    fake.inner.state().restricted = restricted;
    world::cluster(&fake);
    let namespaces: Vec<String> = (0..count).map(|n| format!("shop-{n}")).collect();
    join_all(namespaces.iter().map(|name| world::workload(&fake, name))).await;
    let mut all = Vec::new();
    for namespace in &namespaces {
        let file = world::drill(&fake, &directory, namespace, from);
        all.push(spec::read(&file).map_err(|errors| anyhow::anyhow!("{errors:?}"))?);
    }
    // What became ready until now is nobody's business.
    fake.inner.state().ready = Ready::default();
    let app = App::open(StateDir::choose(Some(directory.join("state")))?, None).await?;
    let app = Arc::new(app);
    let before = anonymous_memory(std::process::id()).context("no memory told")?;
    let runs: Vec<_> = all
        .into_iter()
        .map(|drill| tokio::spawn(run(app.clone(), drill)))
        .collect();
    let looking = tokio::spawn(async move {
        let mut most = 0;
        loop {
            most = most.max(anonymous_memory(std::process::id()).unwrap_or_default());
            if runs.iter().all(tokio::task::JoinHandle::is_finished) {
                return (runs, most);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let (runs, most) = looking.await?;
    for run in runs {
        run.await??;
    }
    anyhow::ensure!(fake.of_runs().is_empty(), "something is left");
    #[expect(clippy::cast_precision_loss, reason = "far from 2^53")]
    let requests = fake.take_asked().len() as f64 / count as f64;
    let mut followed = std::mem::take(&mut fake.inner.state().ready.followed);
    followed.sort_by_key(|(_, after)| *after);
    Ok(Seen {
        reactions: followed.into_iter().map(|(_, after)| after).collect(),
        requests,
        before,
        most,
    })
}

async fn run(app: Arc<App>, drill: Drill) -> anyhow::Result<()> {
    let record = app
        .run(&drill, &[], Vec::new(), CancellationToken::new())
        .await?;
    let (verdict, reasons) = (record.verdict, &record.reasons);
    anyhow::ensure!(verdict == Some(Verdict::Passed), "{verdict:?}: {reasons:?}");
    anyhow::ensure!(record.cleanup == Cleanup::Clean, "not clean");
    Ok(())
}
