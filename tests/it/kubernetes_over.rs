//! Namespaces that another installation has left: whose they are, by which clock.
//! Runs against the fake API server.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use lifeboat::{
    clock::ManualClock,
    domain::{ids::RunId, resource::ClusterRef},
    k8s::{Clusters, Kind},
    sandbox::{Sandbox, kubernetes::KubernetesSandbox},
};
use serde_json::json;

use crate::support::kubernetes::{Effect, Fake, Key, Pace, Rule, Verb};

/// One namespace of another installation, which was made so many hours ago and says
/// that it is somebody's for so many hours from now on; and who looks at it.
struct Scene {
    fake: Fake,
    directory: tempfile::TempDir,
}

impl Scene {
    async fn new(made_ago: i64, lasts: i64) -> Self {
        let fake = Fake::start(Pace::default()).await;
        let now = Timestamp::now();
        let run = RunId::new(now);
        let name = run.resource_name();
        let until = now + SignedDuration::from_hours(lasts);
        let namespace = json!({ "metadata": { "name": name, "labels": {
            "app.kubernetes.io/managed-by": "lifeboat",
            "lifeboat.dev/run": run.to_string(),
            "lifeboat.dev/installation": "another",
        }, "annotations": { "lifeboat.dev/expires-at": until.to_string() } } });
        let key = Key::new(Kind::Namespace, None, &name);
        let mut state = fake.inner.state();
        state.store.create(&key, namespace).unwrap();
        let made = now - SignedDuration::from_hours(made_ago);
        state.store.change(&key, |namespace| {
            let made = made.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            namespace["metadata"]["creationTimestamp"] = made.into();
        });
        drop(state);
        let directory = tempfile::tempdir().unwrap();
        Self { fake, directory }
    }

    /// Whether it is held for somebody's, by one whose clock is so many hours ahead.
    async fn is_in_use(&self, ahead: i64) -> bool {
        let place = ClusterRef {
            kubeconfig: Some(self.fake.kubeconfig(self.directory.path())),
            context: None,
        };
        let now = Timestamp::now() + SignedDuration::from_hours(ahead);
        let clock = Arc::new(ManualClock::new(now));
        let ours = "ours".to_owned();
        let sandbox = KubernetesSandbox::new(place, ours, clock, Clusters::default());
        let found = sandbox.find().await.unwrap();
        assert_eq!(found.len(), 1);
        found[0].in_use
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_by_all_clocks_is_nobodys() {
    assert!(!Scene::new(50, -2).await.is_in_use(0).await);
    assert!(Scene::new(50, 2).await.is_in_use(0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_clock_that_is_wrong_takes_nothing_from_anybody() {
    // Ours is three days behind, or ahead.
    assert!(Scene::new(50, -2).await.is_in_use(-72).await);
    let scene = Scene::new(1, 47).await;
    assert!(scene.is_in_use(72).await);
    // That of who made it was behind: it has said so from the beginning.
    assert!(Scene::new(1, -30).await.is_in_use(0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_servers_time_is_not_known_nothing_is_over() {
    let scene = Scene::new(50, -2).await;
    let refused = Rule::every(Effect::Answer(403), |asked| asked.verb == Verb::Who);
    scene.fake.break_by(refused);
    assert!(scene.is_in_use(0).await);
}
