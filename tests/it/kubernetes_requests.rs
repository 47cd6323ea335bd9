//! How often a drill asks the API server: about as often, however long the
//! drill takes.

use std::time::Duration;

use lifeboat::domain::verdict::Verdict;

use crate::{
    kubernetes_drill::Scene,
    support::kubernetes::{Pace, by_kind, world::From},
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
