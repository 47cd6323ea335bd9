//! Images of private registries: every pod in the sandbox can pull them.

use lifeboat::{domain::verdict::Verdict, k8s::Kind};
use serde_json::{Value, json};

use crate::{
    kubernetes_drill::Scene,
    support::kubernetes::{Fake, Key, PRIVATE, Pace, world::From},
};

/// Puts the workload's image into a private registry. Who names the Secret to
/// pull it with: the account of that name, or else the pod itself.
fn private(fake: &Fake, account: Option<&str>) {
    let key = |kind, name| Key::new(kind, Some("shop"), name);
    let pulls = json!([{ "name": "registry" }]);
    let secret = json!({
        "metadata": { "name": "registry", "namespace": "shop" },
        "type": "kubernetes.io/dockerconfigjson", "data": { ".dockerconfigjson": "e30=" },
    });
    let mut state = fake.inner.state();
    state
        .store
        .create(&key(Kind::Secret, "registry"), secret)
        .unwrap();
    if let Some(name) = account {
        let account = key(Kind::ServiceAccount, name);
        let body = json!({ "metadata": { "name": name, "namespace": "shop" } });
        // One is in each namespace already.
        let _ = state.store.create(&account, body);
        let give = |account: &mut Value| account["imagePullSecrets"] = pulls.clone();
        state.store.change(&account, give);
    }
    state.store.change(&key(Kind::StatefulSet, "db"), |set| {
        let spec = &mut set["spec"]["template"]["spec"];
        spec["containers"][0]["image"] = format!("{PRIVATE}postgres:15").into();
        match account {
            None => spec["imagePullSecrets"] = pulls,
            // The one that each namespace has is not named.
            Some("default") => {}
            Some(name) => spec["serviceAccountName"] = name.into(),
        }
    });
}

async fn passes(from: From, account: Option<&'static str>) {
    let scene = Scene::prepared(from, Pace::default(), |fake| private(fake, account)).await;
    let record = scene.run().await;
    assert_eq!(
        record.verdict,
        Some(Verdict::Passed),
        "{from:?} {record:#?}"
    );
    scene.is_clean("a private registry");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pod_pulls_with_the_secret_that_the_template_names() {
    for from in [From::Held, From::Dump, From::Existing] {
        passes(from, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pod_pulls_with_the_secret_of_the_workloads_account() {
    for from in [From::Held, From::Dump, From::Existing] {
        passes(from, Some("db")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pod_pulls_with_the_secret_of_the_namespaces_account() {
    for from in [From::Held, From::Dump] {
        passes(from, Some("default")).await;
    }
}
