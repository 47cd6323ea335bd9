//! Runs that end at an awkward moment, on a fake of a cluster.

use std::time::Duration;

use lifeboat::domain::{
    step::Step,
    verdict::{Cleanup, Verdict},
};

use crate::{
    kubernetes_drill::Scene,
    support::kubernetes::{Pace, world::From},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_not_removed_before_it_is_protected() {
    let pace = Pace {
        controller: Duration::from_millis(400),
        ..Pace::default()
    };
    let mut scene = Scene::new(From::Existing, pace).await;
    // The content of the snapshot in the sandbox is bound after 400 ms, and the
    // snapshot is protected after 800.
    let deadline = Duration::from_millis(600);
    scene.drill.deadlines.insert(Step::Start, deadline);
    let record = scene.run().await;
    assert_eq!(record.verdict, Some(Verdict::Inconclusive), "{record:#?}");
    assert_eq!(record.cleanup, Cleanup::Clean, "{record:#?}");
    scene.is_clean("ended just after the import");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_whose_removal_was_overlooked_is_seen_to() {
    let scene = Scene::prepared(From::Snapshot, Pace::default(), |fake| {
        fake.inner.state().habits.overlooks = true;
    })
    .await;
    let record = scene.run().await;
    assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
    assert_eq!(record.cleanup, Cleanup::Clean, "{record:#?}");
    scene.is_clean("a content that was overlooked");
}
