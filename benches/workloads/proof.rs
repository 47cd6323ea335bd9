//! The full proof of a restored copy.
//!
//! Data checksums, amcheck, fingerprints, schema and everything else that a
//! drill checks, against reading the copy out by `pg_dump`, which many take
//! for a proof; and how much of it goes on at the same time.

use std::rc::Rc;

use super::Workload;
use crate::harness::{Bench, Contender, Copied, DataSet, Limit, Owner, Server, abort::remove, run};

pub const WORKLOAD: Workload = Workload {
    name: "proof",
    about: "all checks of a restored copy against pg_dump > /dev/null of it",
    run: against_dump,
};

pub const PARALLEL: Workload = Workload {
    name: "parallel",
    about: "all checks of a restored copy by two connections against one",
    run: against_one,
};

const DUMP: &str = "pg_dump > /dev/null";

fn against_dump(bench: &mut Bench) -> anyhow::Result<()> {
    each_copy(bench, |bench, data, copy, server| {
        let runtime = bench.runtime.clone();
        let mut contenders = Vec::new();
        for (depth, jobs) in [("full", 1), ("full", 2), ("quick", 1), ("quick", 2)] {
            let (copy, server, runtime) = (copy.clone(), server.clone(), runtime.clone());
            contenders.push(Contender::ours(&label(depth, jobs), move || {
                runtime.block_on(copy.verify(&server, &checks(depth, jobs)))
            }));
        }
        contenders.push(Contender::baseline(DUMP, || {
            run(copy.client("pg_dump").args(["-f", "/dev/null"]))
        }));
        let comparison = bench.compare(data.database(), contenders)?;
        for depth in ["full", "quick"] {
            let what = format!("{}, {depth} proof against {DUMP}", data.database());
            let ratio = comparison.ratio(&label(depth, 2), DUMP);
            bench.goal(&what, ratio.wall, Limit::AtMost(1.0));
        }
        Ok(())
    })
}

fn against_one(bench: &mut Bench) -> anyhow::Result<()> {
    each_copy(bench, |bench, data, copy, server| {
        let runtime = bench.runtime.clone();
        let verify = |jobs| runtime.block_on(copy.verify(server, &checks("full", jobs)));
        let (two, one) = (label("full", 2), label("full", 1));
        let comparison = bench.compare(
            data.database(),
            vec![
                Contender::ours(&two, || verify(2)),
                Contender::baseline(&one, || verify(1)),
            ],
        )?;
        let what = format!("{}, times faster with two connections", data.database());
        bench.goal(
            &what,
            comparison.ratio(&one, &two).wall,
            Limit::AtLeast(1.8),
        );
        Ok(())
    })
}

type Measure = fn(&mut Bench, DataSet, &Rc<Copied>, &Rc<Server>) -> anyhow::Result<()>;

/// Restores each data set once and measures on the copy.
fn each_copy(bench: &mut Bench, measure: Measure) -> anyhow::Result<()> {
    for data in [DataSet::Orders, DataSet::Accounts] {
        let point = bench.directory("point", Owner::Postgres)?;
        let dir = bench.directory("copy", Owner::Postgres)?;
        let (server, runtime) = (bench.data(data)?, bench.runtime.clone());
        let copy = Copied::make(&server, data.database(), &point, &dir);
        let copy = Rc::new(runtime.block_on(copy)?);
        remove(&point);
        bench.with_postmaster(copy.postmaster(), |bench| {
            measure(bench, data, &copy, &server)
        })?;
        runtime.block_on(copy.end())?;
        remove(&dir);
        if bench.options.smoke {
            break;
        }
    }
    Ok(())
}

fn label(depth: &str, jobs: u32) -> String {
    format!("{depth} proof, verifyJobs {jobs}")
}

fn checks(depth: &str, jobs: u32) -> String {
    format!("sandbox: {{local: {{verifyJobs: {jobs}}}}}, checks: {{integrity: {depth}}}")
}
