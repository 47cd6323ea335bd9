//! A service with many drills, none of them due: what it takes to wait.

use std::{
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use anyhow::Context as _;

use super::Workload;
use crate::harness::{
    Bench, Lifeboat, Limit, Owner, anonymous_memory, cpu_of, resident_memory, sleeps_of,
};

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
    let mut service = Service::start(bench, &bench.lifeboat()?, "d", drills)?;
    let watched = if bench.options.smoke { 1 } else { 60 };
    let pid = service.child.id();
    let (begun, slept) = (cpu_of(pid), sleeps_of(pid));
    std::thread::sleep(Duration::from_secs(watched));
    let busy = cpu_of(pid).saturating_sub(begun);
    let woken = sleeps_of(pid).saturating_sub(slept);
    let memory = resident_memory(service.child.id()).context("the service ended")?;
    let anonymous = service.anonymous()?;
    service.stop()?;
    let what = format!("{drills} drills, none due");
    bench.figure(
        &format!("{what}, memory that no file stands behind"),
        mebibytes(anonymous),
        "MiB",
    );
    bench.goal(
        &format!("{what}, resident memory in MiB"),
        mebibytes(memory),
        Limit::AtMost(20.0),
    );
    let share = busy.as_secs_f64() / Duration::from_secs(watched).as_secs_f64() * 100.0;
    bench.goal(
        &format!("{what}, percent of a processor"),
        share,
        Limit::AtMost(0.05),
    );
    bench.figure(
        &format!("{what}, threads woken"),
        f64::from(u32::try_from(woken)?) / f64::from(u32::try_from(watched)?),
        "a second",
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "far from 2^53")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MIB
}

/// How many bytes that no file stands behind a service of so many drills takes.
pub fn anonymous(bench: &Bench, drills: u32) -> anyhow::Result<u64> {
    let mut service = Service::start(bench, &bench.lifeboat()?, "d", drills)?;
    let anonymous = service.anonymous()?;
    service.stop()?;
    Ok(anonymous)
}

/// A service whose drills are not due.
pub struct Service {
    child: Child,
    log: PathBuf,
}

impl Service {
    /// Starts it, with drills that are called `prefix` and a number, and waits
    /// until it has settled.
    pub fn start(
        bench: &Bench,
        lifeboat: &Lifeboat,
        prefix: &str,
        drills: u32,
    ) -> anyhow::Result<Self> {
        let place = bench.directory("served", Owner::Harness)?;
        write(&place, prefix, drills)?;
        let log = place.join("log");
        let child = lifeboat
            .command(["serve", "--listen", "127.0.0.1:0", "--sweep-every", "1h"])
            .arg(place.join("drills"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()?;
        let mut service = Self { child, log };
        while service.address().is_err() {
            anyhow::ensure!(service.child.try_wait()?.is_none(), "the service ended");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_secs(if bench.options.smoke {
            1
        } else {
            10
        }));
        Ok(service)
    }

    /// Host and port.
    pub fn address(&self) -> anyhow::Result<String> {
        let log = std::fs::read_to_string(&self.log)?;
        let line = log.lines().find_map(|line| line.split_once("address="));
        let address = line.and_then(|(_, rest)| rest.split(' ').next());
        address.map(str::to_owned).context("it does not serve yet")
    }

    fn anonymous(&self) -> anyhow::Result<u64> {
        anonymous_memory(self.child.id()).context("the service ended")
    }

    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

fn write(place: &Path, prefix: &str, drills: u32) -> anyhow::Result<()> {
    let folder = place.join("drills");
    std::fs::create_dir_all(&folder)?;
    for first in (0..drills).step_by(usize::try_from(IN_FILE)?) {
        let last = (first + IN_FILE).min(drills);
        let documents = (first..last).map(|number| {
            format!(
                "---\n{{apiVersion: lifeboat.dev/v1alpha1, kind: Drill, metadata: {{name: {prefix}{number}}}, \
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
