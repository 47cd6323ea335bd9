//! Whole drills of random databases by the real binary.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{Worker, source};
use crate::support::{
    stage::{self, place},
    world::record,
};

/// Runs the binary; gives what it says of the run.
fn lifeboat(state: &Path, drill: &Path) -> (bool, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_lifeboat"))
        .arg("--state-dir")
        .arg(state)
        .args(["--quiet", "--output", "json", "run"])
        .arg(drill)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.success(), record(&output))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn whole_drills_of_random_databases_pass() {
    let (source, place) = (source(), place());
    let mut worker = Worker::new(&source);
    let (first, count) = (stage::seed(), stage::count(30));
    for seed in first..first + count {
        let database = worker.database(seed);
        worker.fill(&database, seed).await;
        let file = place.path().join(format!("{database}.yaml"));
        let text = format!(
            "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\nmetadata: {{ name: random }}\nspec:\n  \
             workload: {{ postgresql: {{ connection: {{ host: {}, database: {database}, \
             user: postgres, tls: {{ mode: disable }} }} }} }}\n  checks: {{ integrity: full }}\n",
            source.directory.display()
        );
        std::fs::write(&file, text).unwrap();
        let (passed, run) = lifeboat(&place.path().join("state"), &file);
        assert!(passed, "seed {seed}: {run:#}");
        assert_eq!(run["verdict"], "passed", "seed {seed}: {run:#}");
        assert_eq!(run["proof"], "exact", "seed {seed}");
        assert_eq!(run["cleanup"]["state"], "clean", "seed {seed}");
    }
    stage::tell(&format!("{count} whole drills passed"));
}
