//! What fingerprints and inventory cost beside the dump they belong to.

use lifeboat::{engine::Source as _, sandbox::Room};

use super::Workload;
use crate::harness::{Bench, Contender, DataSet, Owner, abort::remove, context, engine, run};

pub const WORKLOAD: Workload = Workload {
    name: "capture",
    about: "a recovery point with its fingerprints against the bare pg_dump",
    run: measure,
};

const JOBS: u32 = 2;

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    compare(bench, DataSet::Accounts, "none")?;
    if !bench.options.smoke {
        compare(bench, DataSet::Orders, "none")?;
        // What a drill does where it does not say otherwise.
        compare(bench, DataSet::Orders, "gzip:1")?;
    }
    Ok(())
}

fn compare(bench: &mut Bench, data: DataSet, compression: &str) -> anyhow::Result<()> {
    let ours = bench.directory("ours", Owner::Postgres)?;
    let room = Room::Directory(ours.clone());
    let theirs = bench.directory("theirs", Owner::Postgres)?.join("dump");
    let (server, runtime) = (bench.data(data)?, bench.runtime.clone());
    let spec = format!(
        "recoveryPoint: {{fresh: {{jobs: {JOBS}, compression: \"{compression}\"}}}}, \
         sandbox: {{local: {{verifyJobs: {JOBS}}}}}"
    );
    let capture = || {
        let cx = context();
        let engine = engine(&cx, &server, data.database(), &spec)?;
        runtime.block_on(engine.capture(&cx, &room))?;
        Ok(())
    };
    let bare = || {
        let mut pg_dump = server.client("pg_dump", data.database());
        let level = compression.strip_prefix("gzip:").unwrap_or("0");
        pg_dump
            .arg(format!("--jobs={JOBS}"))
            .args(["-Fd", "-Z", level, "-f"]);
        run(pg_dump.arg(&theirs))
    };
    let empty = || {
        for entry in std::fs::read_dir(&ours)? {
            let path = entry?.path();
            if path.is_dir() {
                remove(&path);
            } else {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    };
    bench.compare(
        &format!(
            "{}, {JOBS} jobs, compression {compression}",
            data.database()
        ),
        vec![
            Contender::ours("recovery point", capture).after(empty),
            Contender::baseline("pg_dump", bare).after(|| {
                remove(&theirs);
                Ok(())
            }),
        ],
    )?;
    Ok(())
}
