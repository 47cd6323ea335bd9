//! What the agent in a sandbox is to try in vain, and what of it nobody can.

use lifeboat::{
    domain::{
        record::{Attempt, Fence, RunRecord},
        step::Step,
        verdict::Verdict,
    },
    k8s::Kind,
};
use serde_json::json;

use crate::{
    kubernetes_drill::Scene,
    support::kubernetes::{
        Effect, Fake, Key, Pace, Rule,
        world::{self, From},
    },
};

/// The drill of a workload that was altered passes; so stood its fence.
async fn fence_of(alter: impl FnOnce(&Fake)) -> Fence {
    let scene = Scene::prepared(From::Snapshot, Pace::default(), alter).await;
    let record: RunRecord = scene.run().await;
    assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
    scene.is_clean("a look at the fence");
    record.restore.unwrap().fence
}

/// What was tried from a pod, as `host:port`.
fn tried_from(fence: &Fence, pod: Option<&str>) -> Vec<String> {
    let from = |attempt: &&Attempt| attempt.from.as_deref() == pod;
    let attempts = fence.attempts.iter().filter(from);
    let place = |attempt: &Attempt| attempt.what.rsplit(' ').next().unwrap().to_owned();
    attempts.map(place).collect()
}

/// A pod that works at the source may reach that, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn pods_that_work_at_the_source_try_it_too() {
    for (from, pod) in [(From::Dump, "lifeboat-dump"), (From::Held, "lifeboat-hold")] {
        let scene = Scene::new(from, Pace::default()).await;
        let record = scene.run().await;
        assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
        let fence = record.restore.unwrap().fence;
        assert!(fence.network, "{fence:#?}");
        let elsewhere = ["${KUBERNETES_SERVICE_HOST}:443", "1.1.1.1:443"];
        assert_eq!(tried_from(&fence, Some(pod)), elsewhere, "{fence:#?}");
        let of_copy = tried_from(&fence, None);
        assert_eq!(of_copy[..2], elsewhere);
        assert_eq!(of_copy[2..], ["10.0.0.1:5432"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_at_the_source_that_gets_out_ends_the_drill() {
    for (from, pod) in [(From::Dump, "lifeboat-dump"), (From::Held, "lifeboat-hold")] {
        let scene = Scene::new(from, Pace::default()).await;
        scene.fake.inner.state().unfenced = Some(pod);
        let record = scene.run().await;
        assert_eq!(record.verdict, Some(Verdict::Inconclusive), "{record:#?}");
        let failed = record.failure.unwrap();
        assert_eq!(failed.step, Step::Capture);
        let told = format!("fence: not enforced: from pod {pod}");
        assert!(failed.failure.message.contains(&told), "{failed:?}");
        scene.is_clean("a fence that does not hold");
    }
}

fn headless(fake: &Fake) {
    let service = Key::new(Kind::Service, Some("shop"), "db");
    let mut state = fake.inner.state();
    state.store.change(&service, |service| {
        service["spec"]["clusterIP"] = "None".into();
    });
}

fn tried(fence: &Fence, what: &str) -> bool {
    fence.attempts.iter().any(|attempt| attempt.what == what)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sources_service_is_tried() {
    let fence = fence_of(|_| {}).await;
    let what = "connect to the source's Service db at 10.0.0.1:5432";
    assert!(tried(&fence, what), "{fence:#?}");
    assert_eq!(fence.untested, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_service_without_an_address_the_pod_is_tried() {
    let fence = fence_of(|fake| {
        headless(fake);
        world::pod(fake, "shop", json!({ "podIP": "10.1.0.9" }));
    })
    .await;
    let what = "connect to the source's pod db-0 at 10.1.0.9:5432";
    assert!(tried(&fence, what), "{fence:#?}");
    assert_eq!(fence.untested, Vec::<String>::new());
}

/// The one thing that was not tried, and why.
fn untested(fence: &Fence, why: &[&str]) {
    let [only] = fence.untested.as_slice() else {
        panic!("{fence:#?}");
    };
    assert!(only.starts_with("the way to the source"), "{only}");
    for why in why {
        assert!(only.contains(why), "{only}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_without_any_address_is_untested() {
    let fence = fence_of(headless).await;
    let no_pod = ["Service db has no address of its own", "Pod db-0 is not"];
    untested(&fence, &no_pod);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_may_not_be_looked_at_is_untested() {
    let fence = fence_of(|fake| {
        headless(fake);
        world::pod(fake, "shop", json!({ "podIP": "10.1.0.9" }));
        fake.break_by(Rule::every(Effect::Answer(403), |asked| {
            asked.kind == Some(Kind::Pod) && asked.namespace.as_deref() == Some("shop")
        }));
    })
    .await;
    untested(&fence, &["Pod db-0 may not be read"]);
}
