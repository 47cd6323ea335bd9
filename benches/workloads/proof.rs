//! The full proof of a restored copy.
//!
//! Data checksums, amcheck, fingerprints, schema and everything else that a
//! drill checks, against reading the copy out by `pg_dump`, which many take
//! for a proof; and how much of it goes on at the same time.

use super::Workload;
use crate::harness::{Bench, Contender, Copied, DataSet, Limit, Owner, Server, abort::remove, run};

pub const WORKLOAD: Workload = Workload {
    name: "proof",
    about: "all checks of a restored copy against pg_dump > /dev/null of it",
    run: measure,
};

const DUMP: &str = "pg_dump > /dev/null";

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    for data in [DataSet::Orders, DataSet::Accounts] {
        let point = bench.directory("point", Owner::Postgres)?;
        let dir = bench.directory("copy", Owner::Postgres)?;
        let (server, runtime) = (bench.data(data)?, bench.runtime.clone());
        let copy = runtime.block_on(Copied::make(&server, data.database(), &point, &dir))?;
        remove(&point);
        bench.with_postmaster(copy.postmaster(), |bench| {
            compare(bench, data, &copy, &server)
        })?;
        runtime.block_on(copy.end())?;
        remove(&dir);
        if bench.options.smoke {
            break;
        }
    }
    Ok(())
}

fn compare(bench: &mut Bench, data: DataSet, copy: &Copied, server: &Server) -> anyhow::Result<()> {
    let runtime = bench.runtime.clone();
    let mut contenders = Vec::new();
    for (depth, jobs) in [("full", 1), ("full", 2), ("quick", 1), ("quick", 2)] {
        let runtime = runtime.clone();
        contenders.push(Contender::ours(&label(depth, jobs), move || {
            runtime.block_on(copy.verify(server, &checks(depth, jobs)))
        }));
    }
    contenders.push(Contender::baseline(DUMP, || {
        run(copy.client("pg_dump").args(["-f", "/dev/null"]))
    }));
    let name = data.database();
    let comparison = bench.compare(name, contenders)?;
    for depth in ["full", "quick"] {
        let (one, two) = (label(depth, 1), label(depth, 2));
        let what = format!("{name}, {depth} proof against {DUMP}");
        bench.goal(&what, comparison.ratio(&two, DUMP).wall, Limit::AtMost(1.0));
        let what = format!("{name}, {depth} proof, times faster with two connections");
        bench.goal(
            &what,
            comparison.ratio(&one, &two).wall,
            Limit::AtLeast(1.8),
        );
    }
    Ok(())
}

fn label(depth: &str, jobs: u32) -> String {
    format!("{depth} proof, verifyJobs {jobs}")
}

fn checks(depth: &str, jobs: u32) -> String {
    format!("sandbox: {{local: {{verifyJobs: {jobs}}}}}, checks: {{integrity: {depth}}}")
}
