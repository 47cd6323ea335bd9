//! Watches that all drills of a process share, on a fake of a cluster.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use lifeboat::{
    domain::{
        failure::{Failure, FailureKind},
        ids::RunId,
    },
    k8s::{self, Cluster, Clusters, Kind, Maker, Object},
};
use serde_json::json;

use crate::{
    kubernetes_drill::Scene,
    support::kubernetes::{Effect, Key, Pace, Rule, Verb, world::From},
};

const CLAIM: Kind = Kind::PersistentVolumeClaim;
const PATIENCE: Duration = Duration::from_secs(30);

/// A namespace of a run.
struct Run {
    scene: Scene,
    maker: Maker,
    namespace: String,
}

impl Run {
    /// One on a cluster whose volumes take a while.
    async fn new(controller: Duration) -> Self {
        let pace = Pace {
            controller,
            beat: Duration::from_millis(10),
            ..Pace::default()
        };
        let scene = Scene::new(From::Snapshot, pace).await;
        let run = RunId::new(jiff::Timestamp::now());
        let cluster = Clusters::default()
            .get(&scene.drill.cluster())
            .await
            .unwrap();
        let maker = Maker {
            cluster,
            run,
            drill: "d".to_owned(),
        };
        let namespace = run.resource_name();
        let made = maker.make(Kind::Namespace, None, &namespace, json!({}));
        made.await.unwrap();
        Self {
            scene,
            maker,
            namespace,
        }
    }

    fn cluster(&self) -> &Cluster {
        &self.maker.cluster
    }

    async fn claim(&self, name: &str) -> Object {
        let body = json!({ "spec": { "storageClassName": "fast" } });
        let made = self.maker.make(CLAIM, Some(&self.namespace), name, body);
        made.await.unwrap()
    }

    /// A claim that never gets its volume: what it is to be made of is not there.
    async fn pending(&self, name: &str) -> Object {
        let source = json!({ "kind": "VolumeSnapshot", "name": "none" });
        let body = json!({ "spec": { "storageClassName": "fast", "dataSource": source } });
        let made = self.maker.make(CLAIM, Some(&self.namespace), name, body);
        made.await.unwrap()
    }

    async fn bound(&self, claim: &Object) -> Result<(), Failure> {
        k8s::until_after(self.cluster(), (CLAIM, claim), PATIENCE, |claim| {
            let claim = claim.ok_or_else(|| Failure::new(FailureKind::NotFound, "gone"))?;
            Ok(k8s::is_bound(claim).then_some(()))
        })
        .await
    }

    /// How often it was asked for claims in this way.
    fn asked(&self, verb: Verb) -> usize {
        let asked = &self.scene.fake.inner.state().asked;
        asked.iter().filter(|one| one.is(verb, CLAIM)).count()
    }

    fn breaks(&self, rule: Rule) {
        self.scene.fake.break_by(rule);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_wait_share_one_watch_of_the_cluster() {
    let run = Run::new(Duration::from_millis(50)).await;
    assert!(run.cluster().may_all().await.unwrap());
    let mut claims = Vec::new();
    for n in 0..40 {
        claims.push(run.claim(&format!("c{n}")).await);
    }
    for bound in join_all(claims.iter().map(|claim| run.bound(claim))).await {
        bound.unwrap();
    }
    assert_eq!((run.asked(Verb::Watch), run.asked(Verb::List)), (1, 0));
    assert_eq!(run.asked(Verb::Get), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_or_went_before_the_watch_is_told() {
    let run = Run::new(Duration::from_millis(2)).await;
    let [changed, gone, late] = [
        run.claim("a").await,
        run.claim("b").await,
        run.claim("c").await,
    ];
    let key = |name: &str| Key::new(CLAIM, Some(&run.namespace), name);
    tokio::time::sleep(Duration::from_millis(100)).await;
    run.scene.fake.inner.state().store.remove(&key("b"));
    run.bound(&changed).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    // It was made after that watch's begin, and went before anybody waited.
    let failure = run.bound(&gone).await.unwrap_err();
    assert_eq!(failure.message, "gone");
    run.scene.fake.inner.state().store.remove(&key("c"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let failure = run.bound(&late).await.unwrap_err();
    assert_eq!(failure.message, "gone");
    assert_eq!(run.asked(Verb::Watch), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_seen_more_than_the_watch_looks_for_itself() {
    let run = Run::new(Duration::from_millis(2)).await;
    let before = run.claim("a").await;
    let other = run.claim("b").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    run.bound(&other).await.unwrap();
    // The watch began after this one.
    run.bound(&before).await.unwrap();
    assert_eq!((run.asked(Verb::Watch), run.asked(Verb::List)), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_whose_time_is_over_goes_on_at_its_last_bookmark() {
    let run = Run::new(Duration::from_millis(400)).await;
    let claim = run.claim("a").await;
    let inner = run.scene.fake.inner.clone();
    let over = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        // What was before is not known any more, but for the place that the
        // next bookmark tells.
        inner.state().store.forget();
        tokio::time::sleep(Duration::from_millis(100)).await;
        inner.state().store.hang_up();
    };
    let (bound, ()) = tokio::join!(run.bound(&claim), over);
    bound.unwrap();
    assert_eq!((run.asked(Verb::Watch), run.asked(Verb::List)), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_has_lost_its_place_begins_with_a_list() {
    for stale in [Effect::Stale, Effect::Answer(410)] {
        let run = Run::new(Duration::from_millis(100)).await;
        run.breaks(Rule::nth(1, stale, |asked| asked.is(Verb::Watch, CLAIM)));
        let claims = [run.claim("a").await, run.claim("b").await];
        let [one, other] = claims.each_ref().map(|claim| run.bound(claim));
        let (one, other) = tokio::join!(one, other);
        one.and(other).unwrap();
        assert_eq!(run.asked(Verb::List), 1, "{stale:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_goes_while_the_place_is_lost_is_gone() {
    let run = Run::new(Duration::from_millis(2)).await;
    run.breaks(Rule::nth(1, Effect::Stale, |asked| {
        asked.is(Verb::Watch, CLAIM)
    }));
    let claim = run.pending("a").await;
    let key = Key::new(CLAIM, Some(&run.namespace), "a");
    run.scene.fake.inner.state().store.remove(&key);
    run.scene.fake.inner.state().store.forget();
    let failure = run.bound(&claim).await.unwrap_err();
    assert_eq!(failure.message, "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_the_cluster_that_is_forbidden_is_one_of_the_namespace() {
    let run = Run::new(Duration::from_millis(2)).await;
    assert!(run.cluster().may_all().await.unwrap());
    run.breaks(Rule::every(Effect::Answer(403), |asked| {
        asked.is(Verb::Watch, CLAIM) && asked.namespace.is_none()
    }));
    let claim = run.claim("a").await;
    run.bound(&claim).await.unwrap();
    let asked = run.scene.fake.take_asked();
    let mut watches = asked.iter().filter(|one| one.is(Verb::Watch, CLAIM));
    let last = watches.next_back().unwrap();
    assert_eq!(last.namespace.as_deref(), Some(&*run.namespace));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_forbidden_is_told_and_not_waited_for() {
    let run = Run::new(Duration::from_millis(2)).await;
    run.breaks(Rule::every(Effect::Answer(403), |asked| {
        asked.is(Verb::Watch, CLAIM)
    }));
    let claims = [run.pending("a").await, run.pending("b").await];
    let [one, other] = claims.each_ref().map(|claim| run.bound(claim));
    let (one, other) = tokio::join!(one, other);
    for failure in [one.unwrap_err(), other.unwrap_err()] {
        assert_eq!(failure.kind, FailureKind::Denied, "{failure}");
        assert!(
            failure
                .message
                .starts_with("cannot watch persistentvolumeclaims"),
            "{failure}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_up_takes_nothing_from_the_others() {
    let run = Arc::new(Run::new(Duration::from_millis(200)).await);
    let claim = run.claim("a").await;
    let soon = Duration::from_millis(50);
    let gives_up = tokio::time::timeout(soon, run.bound(&claim));
    let (waits, gave_up) = tokio::join!(run.bound(&claim), gives_up);
    waits.unwrap();
    assert!(gave_up.is_err());
    assert_eq!(run.asked(Verb::Watch), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_watches_of_a_cluster_that_nobody_has_any_more_are_closed() {
    let run = Run::new(Duration::from_millis(2)).await;
    let claim = run.claim("a").await;
    run.bound(&claim).await.unwrap();
    let Run { scene, maker, .. } = run;
    let watching = || scene.fake.inner.state().store.watching(CLAIM);
    assert_eq!(watching(), 1);
    drop(maker);
    let closed = async {
        while watching() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, closed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_watches_a_namespace_ends_with_it() {
    let scene = Scene::prepared(From::Snapshot, Pace::default(), |fake| {
        fake.inner.state().restricted = true;
    })
    .await;
    scene.run().await;
    let closed = async {
        while scene.fake.inner.state().store.watching(CLAIM) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // Nobody would need it for half a minute before it is closed.
    let soon = Duration::from_secs(10);
    tokio::time::timeout(soon, closed).await.unwrap();
}
