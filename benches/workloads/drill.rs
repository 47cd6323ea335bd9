//! A whole drill of an existing dump against a shell script of the same steps.
//!
//! Both make a cluster with the same options, start it, make role and database,
//! load with as many jobs, analyze, read and write, count the rows of every
//! table, and remove everything. Lifeboat moreover fences, journals, draws its
//! report, and reads the settings that matter.

use std::path::{Path, PathBuf};

use super::Workload;
use crate::harness::{
    BINARIES, Bench, Comparison, Contender, DataSet, Limit, Owner, as_postgres, run,
};

pub const WORKLOAD: Workload = Workload {
    name: "drill",
    about: "a whole drill of an existing dump against a shell script of the same steps",
    run: measure,
};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/drill.sh");
const JOBS: u32 = 2;
const OURS: &str = "lifeboat run";
const SCRIPTED: &str = "shell script";

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let overhead = compare(bench, DataSet::Few, "eight tables of ten rows")?.ratio(OURS, SCRIPTED);
    let what = "own overhead with equal steps, in seconds";
    bench.goal(what, overhead.difference_s.median, Limit::AtMost(0.05));
    if !bench.options.smoke {
        let whole = compare(bench, DataSet::Orders, "orders")?.ratio(OURS, SCRIPTED);
        let what = "wall time of a whole drill against the script";
        bench.goal(what, whole.wall, Limit::AtMost(1.0));
    }
    Ok(())
}

fn compare(bench: &mut Bench, data: DataSet, case: &str) -> anyhow::Result<Comparison> {
    let dump = dump(bench, data)?;
    let lifeboat = bench.lifeboat()?;
    let equal = lifeboat.drill("equal", &drill(&dump, "off"))?;
    let usual = lifeboat.drill("usual", &drill(&dump, "quick"))?;
    let place = bench.directory("script", Owner::Postgres)?;
    let script = || {
        let mut script = as_postgres(SCRIPT);
        script.arg(BINARIES).arg(&dump).arg(data.database());
        run(script.arg(place.join("run")).arg(JOBS.to_string()))
    };
    let mut contenders = vec![
        Contender::ours(OURS, || lifeboat.run(&equal)),
        Contender::baseline(SCRIPTED, script),
    ];
    if !bench.options.smoke {
        let work = || lifeboat.run(&usual);
        contenders.push(Contender::ours("lifeboat run, with amcheck", work));
    }
    bench.compare(case, contenders)
}

/// A dump that is there already, as a nightly job leaves it.
fn dump(bench: &mut Bench, data: DataSet) -> anyhow::Result<PathBuf> {
    let path = bench.directory("dump", Owner::Harness)?.join("dump");
    let server = bench.data(data)?;
    let mut pg_dump = server.client("pg_dump", data.database());
    run(pg_dump.args(["-Fd", "-j", "2", "-f"]).arg(&path))?;
    run(std::process::Command::new("chmod")
        .args(["-R", "a+rX"])
        .arg(&path))?;
    Ok(path)
}

fn drill(dump: &Path, integrity: &str) -> String {
    let counts: Vec<_> = (1..=8)
        .map(|n| format!("{{table: public.orders_{n}, min: 1}}"))
        .collect();
    format!(
        "{{apiVersion: lifeboat.dev/v1alpha1, kind: Drill, metadata: {{name: bench}}, spec: {{\
         workload: {{postgresql: {{}}}}, recoveryPoint: {{existing: {{path: {}}}}}, \
         sandbox: {{local: {{restoreJobs: {JOBS}, verifyJobs: 1}}}}, \
         checks: {{integrity: {integrity}, rowCounts: [{}]}}}}}}",
        dump.display(),
        counts.join(", ")
    )
}
