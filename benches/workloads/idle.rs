//! A service with many drills, none of them due: what it takes to wait.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::Context as _;

use super::Workload;
use crate::harness::{Bench, Limit, Owner, anonymous_memory, cpu_of, resident_memory};

pub const WORKLOAD: Workload = Workload {
    name: "idle",
    about: "a service of 10,000 drills, none due",
    run: measure,
};

const DRILLS: u32 = 10_000;
/// A file must not be larger than a mebibyte.
const IN_FILE: u32 = 500;
const MIB: f64 = 1024.0 * 1024.0;

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let drills = bench.options.scaled(DRILLS, 10);
    let place = bench.directory("idle", Owner::Harness)?;
    write(&place, drills)?;
    let lifeboat = bench.lifeboat()?;
    let log = place.join("log");
    let mut child = lifeboat
        .command(["serve", "--listen", "127.0.0.1:0", "--sweep-every", "1h"])
        .arg(place.join("drills"))
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log)?)
        .spawn()?;
    let ready = || std::fs::read_to_string(&log).is_ok_and(|log| log.contains("address="));
    while !ready() {
        anyhow::ensure!(child.try_wait()?.is_none(), "the service ended");
        std::thread::sleep(Duration::from_millis(50));
    }
    // What starts has settled by then.
    let (settling, watched) = if bench.options.smoke {
        (1, 1)
    } else {
        (10, 60)
    };
    std::thread::sleep(Duration::from_secs(settling));
    let pid = child.id();
    let begun = cpu_of(pid);
    std::thread::sleep(Duration::from_secs(watched));
    let busy = cpu_of(pid).saturating_sub(begun);
    let memory = resident_memory(pid).context("the service ended")?;
    let anonymous = anonymous_memory(pid).context("the service ended")?;
    child.kill()?;
    child.wait()?;
    #[expect(clippy::cast_precision_loss, reason = "far from 2^53")]
    let (memory, anonymous) = (memory as f64 / MIB, anonymous as f64 / MIB);
    let what = format!("{drills} drills, none due");
    bench.figure(
        &format!("{what}, memory that no file stands behind"),
        anonymous,
        "MiB",
    );
    bench.goal(
        &format!("{what}, resident memory in MiB"),
        memory,
        Limit::AtMost(20.0),
    );
    let share = busy.as_secs_f64() / Duration::from_secs(watched).as_secs_f64() * 100.0;
    bench.goal(
        &format!("{what}, percent of a processor"),
        share,
        Limit::AtMost(0.05),
    );
    Ok(())
}

fn write(place: &Path, drills: u32) -> anyhow::Result<()> {
    let folder = place.join("drills");
    std::fs::create_dir_all(&folder)?;
    for first in (0..drills).step_by(usize::try_from(IN_FILE)?) {
        let last = (first + IN_FILE).min(drills);
        let documents = (first..last).map(|number| {
            format!(
                "---\n{{apiVersion: lifeboat.dev/v1alpha1, kind: Drill, metadata: {{name: d{number}}}, \
                 spec: {{workload: {{sqlite: {{file: /var/lib/app/{number}.db}}}}, objectives: {{rto: 5m}}, \
                 schedule: {{cron: '{} {} 1 1 *', startWindow: 1h}}}}}}\n",
                number % 60,
                number / 60 % 24
            )
        });
        std::fs::write(
            folder.join(format!("{first}.yaml")),
            documents.collect::<String>(),
        )?;
    }
    Ok(())
}
