//! How often drills ask the API server: about as often, however long they take,
//! and seldom where many are under way together.

use std::{process::Command, time::Duration};

use futures_util::future::join_all;
use lifeboat::{domain::verdict::Verdict, spec};

use crate::{
    kubernetes_drill::Scene,
    support::{
        kubernetes::{
            Fake, Pace, by_kind,
            world::{self, From},
        },
        served::Served,
        until,
    },
};

/// A drill in which every wait is long, and whose agent says a hundred times
/// more.
fn long() -> Pace {
    Pace {
        controller: Duration::from_millis(30),
        agent: Duration::from_millis(30),
        verify: Duration::from_secs(1),
        beat: Duration::from_millis(5),
    }
}

/// Whose rights a drill has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    Administrator,
    /// Lifeboat's own account, as the manifests set it up.
    Account,
}

impl As {
    fn limit(self, fake: &Fake) {
        fake.inner.state().restricted = self == Self::Account;
    }
}

/// Requests of a drill in a process of its own, where they are too many, by kind.
async fn too_many(of: As, from: From, pace: Pace, most: usize) -> Option<String> {
    let scene = Scene::prepared(from, pace, |fake| of.limit(fake)).await;
    let record = scene.run().await;
    assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
    scene.is_clean("a drill");
    more_than(most, 1, &scene, (of, from))
}

/// What each of so many drills has asked, where that is too much, by kind.
fn more_than(most: usize, drills: usize, scene: &Scene, (of, from): (As, From)) -> Option<String> {
    let asked = scene.fake.take_asked();
    let (each, kinds) = (asked.len().div_ceil(drills), by_kind(&asked));
    (each > most).then(|| format!("{of:?} {from:?}: {each} requests, not {most}: {kinds:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_asks_seldom_however_long_it_takes() {
    let mut all = Vec::new();
    // With some room for a watch that begins anew on a busy machine.
    for (of, from, most) in [
        (As::Administrator, From::Snapshot, 42),
        (As::Administrator, From::Held, 47),
        (As::Administrator, From::Dump, 40),
        (As::Administrator, From::Existing, 40),
        (As::Account, From::Snapshot, 47),
        (As::Account, From::Held, 52),
        (As::Account, From::Dump, 44),
        (As::Account, From::Existing, 44),
    ] {
        all.extend(too_many(of, from, Pace::default(), most).await);
        all.extend(too_many(of, from, long(), most).await);
    }
    assert!(all.is_empty(), "{all:#?}");
}

/// Drills at once, in one process.
const DRILLS: usize = 20;

/// Requests of each of many drills at once, where they are too many.
async fn too_many_each(of: As, from: From, most: usize) -> Option<String> {
    // So many bookmarks and beats would keep the machine from all else.
    let pace = Pace {
        beat: Pace::default().beat,
        ..long()
    };
    let scene = Scene::prepared(from, pace, |fake| of.limit(fake)).await;
    let names: Vec<String> = (0..DRILLS).map(|n| format!("shop-{n}")).collect();
    join_all(names.iter().map(|name| world::workload(&scene.fake, name))).await;
    let app = &scene.app;
    let runs = names.iter().map(|name| {
        let file = world::drill(&scene.fake, scene.directory.path(), name, from);
        let drill = spec::read(&file).unwrap();
        async move {
            let cancel = tokio_util::sync::CancellationToken::new();
            app.run(&drill, &[], Vec::new(), cancel).await.unwrap()
        }
    });
    scene.fake.take_asked();
    for record in join_all(runs).await {
        assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
    }
    assert_eq!(scene.fake.of_runs(), []);
    more_than(most, DRILLS, &scene, (of, from))
}

#[tokio::test(flavor = "multi_thread")]
async fn drills_that_run_together_ask_together() {
    let mut all = Vec::new();
    for (of, from, most) in [
        (As::Administrator, From::Snapshot, 26),
        (As::Administrator, From::Dump, 27),
        (As::Account, From::Snapshot, 34),
        (As::Account, From::Dump, 32),
    ] {
        all.extend(too_many_each(of, from, most).await);
    }
    assert!(all.is_empty(), "{all:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_counts_what_it_sends() {
    let scene = Scene::new(From::Dump, Pace::default()).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command
        .arg("--state-dir")
        .arg(scene.directory.path().join("state"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .arg(&scene.file);
    let log = scene.directory.path().join("serve.log");
    tokio::task::block_in_place(|| {
        let served = Served::by(command, log);
        let (status, body) =
            served.ask("POST", &format!("/api/v1/drills/{}/runs", scene.drill.name));
        assert_eq!(status, 202, "{body}");
        until("the drill has passed", || {
            served.get("/api/v1/runs")["runs"][0]["verdict"] == "passed"
        });
        let mut sent = 0;
        until("the metric says what the API server has heard", || {
            sent += scene.fake.take_asked().len();
            let counted = served.metric("lifeboat_kubernetes_requests_total");
            sent > 20 && counted.unwrap().to_string() == sent.to_string()
        });
    });
}
