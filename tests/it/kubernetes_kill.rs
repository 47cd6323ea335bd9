//! Killed at any request to the API server, a run is swept up: nothing is left
//! in the cluster, what is others' is as it was, and there is one result. Runs
//! the real binary.

use std::{
    path::Path,
    process::{Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::{StreamExt, stream};
use serde_json::Value;
use tokio::{process::Command, sync::Notify};

use crate::{
    kubernetes_drill::Scene,
    support::{
        kubernetes::{Effect, Pace, Rule, world::From},
        world::text,
    },
};

/// More requests than a drill makes.
const MOST: u64 = 200;

/// Runs at once, each with a cluster of its own.
const AT_ONCE: usize = 4;

fn lifeboat(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command
        .arg("--state-dir")
        .arg(directory.join("state"))
        .args(["--quiet", "--output", "json"])
        .args(args)
        .kill_on_drop(true);
    command
}

fn records(output: &Output) -> Vec<Value> {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)))
}

/// Kills a run when its `nth` request is on its way, with or without its
/// effect, and sweeps. Whether it came to so many requests.
async fn killed_at(from: From, nth: u64, effect: Effect) -> bool {
    let what = format!("{from:?} killed at request {nth}, {effect:?}");
    let scene = Scene::new(from, Pace::default()).await;
    let (fake, directory) = (&scene.fake, scene.directory.path());
    let reached = Arc::new(Notify::new());
    let (tell, count) = (reached.clone(), AtomicU64::new(0));
    fake.break_by(Rule::nth(nth, effect, move |_| {
        if count.fetch_add(1, Ordering::Relaxed) + 1 == nth {
            tell.notify_one();
        }
        true
    }));
    let mut run = lifeboat(directory, &["run", scene.file.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let in_time = tokio::select! {
        () = reached.notified() => true,
        ended = run.wait() => {
            assert!(ended.unwrap().success(), "{what}: it failed");
            false
        }
    };
    run.kill().await.unwrap();
    fake.inner.state().rules.clear();
    let swept = lifeboat(directory, &["sweep"]).output().await.unwrap();
    assert!(swept.status.success(), "{what}: {}", text(&swept));
    scene.is_clean(&what);
    let runs = lifeboat(directory, &["runs"]).output().await.unwrap();
    let runs = records(&runs);
    assert!(runs.len() <= 1, "{what}: {runs:#?}");
    for run in &runs {
        assert_eq!(run["cleanup"]["state"], "clean", "{what}: {run:#}");
        assert!(!run["verdict"].is_null(), "{what}: {run:#}");
    }
    in_time
}

async fn killed_at_each(from: From, stride: usize, effect: Effect) {
    let ends = stream::iter((1..MOST).step_by(stride))
        .map(|nth| tokio::spawn(killed_at(from, nth, effect)))
        .buffered(AT_ONCE)
        .map(Result::unwrap);
    let came_through = ends.take_while(|reached| std::future::ready(*reached));
    let killed = came_through.count().await;
    assert!(killed * stride > 20, "killed {killed} times only");
    assert!(
        (killed as u64) < (MOST - 1) / stride as u64,
        "it has more requests"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_drill_that_is_killed_is_swept_up() {
    killed_at_each(From::Snapshot, 3, Effect::NoAnswer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_drill_that_is_killed_is_swept_up() {
    killed_at_each(From::Dump, 5, Effect::NoAnswer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_of_an_existing_snapshot_that_is_killed_is_swept_up() {
    killed_at_each(From::Existing, 5, Effect::NoAnswer).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make soak`"]
async fn killed_at_every_request_it_is_swept_up() {
    for from in [
        From::Snapshot,
        From::Held,
        From::Dump,
        From::Existing,
        From::Group,
    ] {
        for effect in [Effect::Hang, Effect::NoAnswer] {
            killed_at_each(from, 1, effect).await;
        }
    }
}
