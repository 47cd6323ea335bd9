//! How often a drill asks the API server: about as often, however long the
//! drill takes.

use std::{process::Command, time::Duration};

use lifeboat::domain::verdict::Verdict;

use crate::{
    kubernetes_drill::Scene,
    support::{
        kubernetes::{Pace, by_kind, world::From},
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

/// Requests of a drill where they are too many, by kind.
async fn too_many(from: From, pace: Pace, most: usize) -> Option<String> {
    let scene = Scene::new(from, pace).await;
    let record = scene.run().await;
    assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
    let asked = scene.fake.take_asked();
    let (count, kinds) = (asked.len(), by_kind(&asked));
    (count > most).then(|| format!("{from:?}: {count} requests, not {most}: {kinds:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_asks_seldom_however_long_it_takes() {
    let mut all = Vec::new();
    // With some room for a watch that begins anew on a busy machine.
    for (from, most) in [
        (From::Snapshot, 49),
        (From::Held, 55),
        (From::Dump, 48),
        (From::Existing, 44),
    ] {
        all.extend(too_many(from, Pace::default(), most).await);
        all.extend(too_many(from, long(), most).await);
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
