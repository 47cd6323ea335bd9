//! The fence of a whole drill: what was tried from inside is in the record,
//! and a hole is noticed before anything is restored.

use std::{os::unix::fs::PermissionsExt, path::Path};

use lifeboat::domain::{
    record::RunRecord,
    step::Step,
    verdict::{Progress, Verdict},
};

use crate::support::{bench::Bench, database::Database, tamper::Tamper, world::World};

async fn bench(sandbox: &str) -> Bench<Database> {
    let world = World::new(|_| Database::small());
    Bench::new(world, &format!("  sandbox: {{ local: {{ {sandbox} }} }}\n")).await
}

/// A helper that forgets the fence, and says nothing.
fn with_a_hole(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("helper");
    let real = env!("CARGO_BIN_EXE_lifeboat");
    let script = format!(
        "#!/bin/sh\n\
         spec=$(printf %s \"$4\" | sed 's/\"confine\":true/\"confine\":false/')\n\
         what=$2\n\
         shift 4\n\
         exec {real} agent \"$what\" --fence \"$spec\" \"$@\"\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The attempts with how they ended, without what changes from run to run.
fn attempts(record: &RunRecord) -> Vec<(String, bool)> {
    let attempts = record
        .restore
        .iter()
        .flat_map(|facts| &facts.fence.attempts);
    attempts
        .map(|attempt| {
            let (what, _) = attempt.what.split_once(" at ").unwrap();
            (what.to_owned(), attempt.prevented)
        })
        .collect()
}

const WAYS: [&str; 6] = [
    "connect to the source",
    "write into a directory of this machine",
    "write into the recovery point",
    "connect to a listener on this machine",
    "connect to a listener on this machine",
    "run a shell",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_run_shows_that_its_fence_holds() {
    let bench = bench("").await;
    let record = bench.run(Tamper::Nothing, &[]).await;
    assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
    assert_eq!(attempts(&record), WAYS.map(|what| (what.to_owned(), true)));
    let fence = &record.restore.as_ref().unwrap().fence;
    assert!(fence.network && fence.files, "{fence:?}");
    let socket = bench.world.source.server.directory.join(".s.PGSQL.5432");
    let source = &fence.attempts[0].what;
    assert!(source.ends_with(&socket.display().to_string()), "{source}");
    bench.is_clean_after(&record).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_with_a_hole_ends_the_run_before_anything_is_restored() {
    let mut bench = bench("").await;
    bench.helper = with_a_hole(&bench.world.path(""));
    let record = bench.run(Tamper::Nothing, &[]).await;
    assert_eq!(record.verdict, Some(Verdict::Inconclusive));
    assert_eq!(record.progress, Progress::EndedIn(Step::Start));
    let failure = &record.failure.as_ref().unwrap().failure;
    for what in WAYS {
        assert!(failure.message.contains(what), "{failure:#?}");
    }
    assert!(failure.hint.as_ref().unwrap().contains("allowUnfenced"));
    assert_eq!(failure.diagnosis.len(), WAYS.len(), "{failure:#?}");
    bench.is_clean_after(&record).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_that_the_drill_allows_is_told_loudly() {
    let mut bench = bench("allowUnfenced: true").await;
    bench.helper = with_a_hole(&bench.world.path(""));
    let record = bench.run(Tamper::Nothing, &[]).await;
    assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
    assert_eq!(attempts(&record), WAYS.map(|what| (what.to_owned(), false)));
    let fence = &record.restore.as_ref().unwrap().fence;
    assert!(!fence.network && !fence.files, "{fence:?}");
    let loud = |note: &String| note.starts_with("NOT FENCED") && note.contains("the source");
    assert!(record.notes.iter().any(loud), "{:?}", record.notes);
    bench.is_clean_after(&record).await;
}
