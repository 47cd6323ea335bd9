//! How often a drill asks the API server: the same number, however long the
//! drill takes.

use std::time::Duration;

use lifeboat::domain::verdict::Verdict;

use crate::{
    kubernetes_drill::Scene,
    support::kubernetes::{Pace, by_kind, world::From},
};

/// A drill whose agent says a hundred times more.
fn long() -> Pace {
    Pace {
        controller: Duration::from_millis(30),
        agent: Duration::from_millis(30),
        verify: Duration::from_secs(1),
        beat: Duration::from_millis(5),
    }
}

async fn requests(from: From, pace: Pace, most: usize) -> usize {
    let scene = Scene::new(from, pace).await;
    let record = scene.run().await;
    assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
    let asked = scene.fake.take_asked();
    let (count, kinds) = (asked.len(), by_kind(&asked));
    assert!(count <= most, "{from:?}: {count} requests: {kinds:#?}");
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_asks_seldom_however_long_it_takes() {
    for (from, most) in [
        (From::Snapshot, 81),
        (From::Held, 91),
        (From::Dump, 74),
        (From::Existing, 61),
    ] {
        let short = requests(from, Pace::default(), most).await;
        // What is ready at the first look spares a watch: never more than one
        // look per wait.
        requests(from, long(), most).await;
        assert!(short > 20, "then this page has to be written anew");
    }
}
