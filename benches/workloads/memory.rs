//! The most memory that the process itself takes in a whole drill, without the
//! programs that it starts.

use std::{process::Stdio, time::Duration};

use super::Workload;
use crate::harness::{Bench, DataSet, Limit, anonymous_memory, peak_memory};

pub const WORKLOAD: Workload = Workload {
    name: "memory",
    about: "peak memory of the lifeboat process in a whole drill",
    run: measure,
};

/// How often the process is looked at; its peak is kept by the kernel.
const LOOK: Duration = Duration::from_millis(2);
const MIB: f64 = 1024.0 * 1024.0;

fn measure(bench: &mut Bench) -> anyhow::Result<()> {
    for (data, what) in [
        (DataSet::OrdersSmall, "a database of 100 MB"),
        (DataSet::Orders, "a database of 800 MB"),
        (DataSet::Many, "5,000 small tables"),
    ] {
        peak(bench, data, what)?;
        if bench.options.smoke {
            break;
        }
    }
    Ok(())
}

fn peak(bench: &mut Bench, data: DataSet, what: &str) -> anyhow::Result<()> {
    let lifeboat = bench.lifeboat()?;
    let server = bench.data(data)?;
    let drill = lifeboat.drill(
        "memory",
        &format!(
            "{{apiVersion: lifeboat.dev/v1alpha1, kind: Drill, metadata: {{name: bench}}, spec: {{\
             workload: {{postgresql: {{connection: {{host: {}, database: {}, user: postgres}}}}}}, \
             recoveryPoint: {{fresh: {{compression: none}}}}, checks: {{integrity: full}}}}}}",
            server.host().display(),
            data.database()
        ),
    )?;
    let mut child = lifeboat
        .command(["run"])
        .arg(&drill)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let (mut whole, mut anonymous) = (0, 0);
    let status = loop {
        whole = whole.max(peak_memory(child.id()).unwrap_or_default());
        anonymous = anonymous.max(anonymous_memory(child.id()).unwrap_or_default());
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(LOOK);
    };
    anyhow::ensure!(status.success(), "the drill of {what} ended with {status}");
    #[expect(clippy::cast_precision_loss, reason = "far from 2^53")]
    let (whole, anonymous) = (whole as f64 / MIB, anonymous as f64 / MIB);
    bench.figure(
        &format!("{what}, without what files stand behind"),
        anonymous,
        "MiB",
    );
    bench.goal(
        &format!("{what}, peak memory in MiB"),
        whole,
        Limit::AtMost(32.0),
    );
    Ok(())
}
