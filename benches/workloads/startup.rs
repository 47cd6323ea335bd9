//! How long a user looks at nothing.

use std::{
    io::BufRead,
    process::{Command, Stdio},
};

use anyhow::Context as _;

use super::Workload;
use crate::harness::{BINARIES, Bench, Contender, run};

pub const WORKLOAD: Workload = Workload {
    name: "startup",
    about: "time until the first line is on the screen",
    run: measure,
};

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    let lifeboat = bench.lifeboat()?;
    let first = "lifeboat run, first line";
    let source = super::sqlite::source(&lifeboat.state, 10)?;
    let drill = lifeboat.drill("startup", &super::sqlite::drill(&source))?;
    // Each starts after the one before it has ended: nothing to sweep.
    let running = std::cell::RefCell::new(None);
    let first_line = || {
        let mut child = lifeboat
            .command(["run"])
            .arg(&drill)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().context("no pipe")?;
        let mut stderr = std::io::BufReader::new(stderr);
        let mut line = String::new();
        stderr.read_line(&mut line)?;
        anyhow::ensure!(line.contains("bench"), "the first line is `{line}`");
        running.replace(Some((child, stderr)));
        Ok(())
    };
    let end = || {
        if let Some((mut child, mut stderr)) = running.take() {
            std::io::copy(&mut stderr, &mut std::io::sink())?;
            child.wait()?;
        }
        Ok(())
    };
    bench.compare(
        "from the start of the process",
        vec![
            Contender::ours(first, first_line).after(end),
            Contender::ours("lifeboat --version, whole", || {
                run(lifeboat.command([]).arg("--version"))
            }),
            Contender::baseline("pg_dump --version, whole", || {
                run(Command::new(format!("{BINARIES}/pg_dump")).arg("--version"))
            }),
        ],
    )?;
    Ok(())
}
