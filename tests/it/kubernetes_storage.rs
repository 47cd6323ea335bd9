//! Volumes that the storage would keep, or that are somebody else's.

use std::time::Duration;

use lifeboat::{
    domain::{
        check::Severity,
        step::Step,
        verdict::{Cleanup, Verdict},
    },
    k8s::{Clusters, Kind},
    remote::RemoteEngine,
};
use serde_json::{Value, json};

use crate::{
    kubernetes_drill::Scene,
    support::kubernetes::{Fake, Habits, Key, Pace, Stop, Verb, world::From},
};

/// Makes the workload's class one that keeps what is deleted.
fn retaining(fake: &Fake) {
    let class = Key::new(Kind::StorageClass, None, "fast");
    let mut state = fake.inner.state();
    state
        .store
        .change(&class, |class| class["reclaimPolicy"] = "Retain".into());
    state.habits.retains = true;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_retains_volumes_is_refused_before_any_is_made() {
    for from in [From::Snapshot, From::Dump, From::Existing] {
        let scene = Scene::prepared(from, Pace::default(), retaining).await;
        let record = scene.run().await;
        assert_eq!(record.verdict, Some(Verdict::Inconclusive), "{from:?}");
        let failure = record.failure.unwrap().failure;
        let expected = "storage class fast has the reclaim policy Retain";
        assert!(failure.message.contains(expected), "{failure}");
        let hint = failure.hint.unwrap();
        assert!(hint.contains("sandbox.kubernetes.storageClasses"), "{hint}");
        assert_eq!(record.cleanup, Cleanup::Clean, "{from:?}");
        scene.is_clean("a class that retains");
        let asked = scene.fake.take_asked();
        let claim = Kind::PersistentVolumeClaim;
        assert!(!asked.iter().any(|one| one.is(Verb::Create, claim)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_retains_volumes_is_found_before_a_run() {
    let scene = Scene::prepared(From::Snapshot, Pace::default(), retaining).await;
    let found = scene.preflight().await;
    let classes = found.iter().find(|one| one.subject == "storage classes");
    let classes = classes.unwrap();
    assert_eq!(classes.severity, Severity::Error, "{classes:?}");
    assert!(classes.message.contains("reclaim policy Retain"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_stays_keeps_nothing_else_and_is_told_until_it_is_gone() {
    let mut scene = Scene::new(From::Snapshot, Pace::default()).await;
    // Its class does not say so: somebody has patched the volume.
    let inner = scene.fake.inner.clone();
    inner.state().habits = Habits {
        retains: true,
        ..Habits::default()
    };
    let record = scene.run().await;
    assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
    let Cleanup::Leaked { resources } = &record.cleanup else {
        panic!("{:?}", record.cleanup);
    };
    let released = |_: &Key, volume: &Value| volume["status"]["phase"] == "Released";
    let volumes = inner.state().store.keys(released);
    let [volume] = volumes.as_slice() else {
        panic!("{volumes:?}");
    };
    for leak in resources {
        assert!(leak.reason.contains(&volume.name), "{leak:?}");
    }
    assert_eq!(scene.fake.of_runs(), [], "all else is gone");

    // The machine was started anew: that run's process is no more.
    scene.app.identity.boot = "a later one".to_owned();
    let swept = scene.app.sweep(None, &[]).await.unwrap();
    assert!(!swept.leaks.is_empty(), "it is still there");
    remove(&scene.fake, volume);
    let swept = scene.app.sweep(None, &[]).await.unwrap();
    assert!(swept.leaks.is_empty());
    scene.is_clean("a volume that was removed by hand");
}

/// Removes a volume with its data, as an administrator would.
fn remove(fake: &Fake, volume: &Key) {
    let mut state = fake.inner.state();
    let body = state.store.get(volume).unwrap();
    let handle = body["spec"]["csi"]["volumeHandle"].as_str().unwrap();
    state.handles.remove(handle);
    state.store.remove(volume);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_the_sources_own_is_neither_mounted_nor_removed() {
    for from in [From::Snapshot, From::Dump, From::Existing] {
        let mut scene = Scene::new(from, Pace::default()).await;
        let inner = scene.fake.inner.clone();
        let source = handle_of(&scene.fake, "shop");
        inner.state().habits.gives = Some(source.clone());
        let record = scene.run().await;
        assert_eq!(record.verdict, Some(Verdict::Inconclusive), "{from:?}");
        let failure = record.failure.unwrap().failure;
        assert!(failure.message.contains("is the same as pvc-"), "{failure}");
        let asked = scene.fake.take_asked();
        let pods = asked.iter().filter(|one| one.is(Verb::Create, Kind::Pod));
        assert_eq!(pods.count(), 0, "{from:?}: nobody mounts it");
        // Removing the claim would make the driver delete what is the source's.
        let Cleanup::Leaked { resources } = &record.cleanup else {
            panic!("{:?}", record.cleanup);
        };
        let reason = &resources[0].reason;
        assert!(reason.contains("would delete the data of both"), "{reason}");
        let handles = || inner.state().handles.clone();
        assert!(handles().contains(&source), "the source's volume is there");

        // An administrator does as the hint says.
        let of_run = |_: &Key, volume: &Value| {
            let of = volume["spec"]["claimRef"]["namespace"].as_str();
            of.is_some_and(|of| of.starts_with("lb-"))
        };
        let volume = inner.state().store.keys(of_run).remove(0);
        inner.state().store.change(&volume, |volume| {
            volume["spec"]["persistentVolumeReclaimPolicy"] = "Retain".into();
        });
        scene.app.identity.boot = "a later one".to_owned();
        scene.app.sweep(None, &[]).await.unwrap();
        inner.state().store.remove(&volume);
        let swept = scene.app.sweep(None, &[]).await.unwrap();
        assert!(swept.leaks.is_empty(), "{:?}", swept.leaks);
        scene.is_clean("a volume that is somebody else's");
    }
}

fn handle_of(fake: &Fake, namespace: &str) -> String {
    let state = fake.inner.state();
    let claimed = |_: &Key, volume: &Value| volume["spec"]["claimRef"]["namespace"] == namespace;
    let volume = state.store.keys(claimed).remove(0);
    let volume = state.store.get(&volume).unwrap();
    volume["spec"]["csi"]["volumeHandle"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_that_wait_for_a_pod_are_made_without_one_that_could_use_them() {
    let waiting = |fake: &Fake| {
        let class = Key::new(Kind::StorageClass, None, "fast");
        let mode = |class: &mut Value| class["volumeBindingMode"] = "WaitForFirstConsumer".into();
        fake.inner.state().store.change(&class, mode);
    };
    for from in [From::Snapshot, From::Dump] {
        let scene = Scene::prepared(from, Pace::default(), waiting).await;
        let record = scene.run().await;
        assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
        scene.is_clean("volumes that wait");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_when_the_last_member_of_its_group_is_gone() {
    // Members outlive their group by that.
    let pace = Pace {
        controller: Duration::from_millis(60),
        ..Pace::default()
    };
    let scene = Scene::new(From::Group, pace).await;
    let record = scene.run().await;
    assert_eq!(record.verdict, Some(Verdict::Passed), "{record:#?}");
    assert_eq!(record.cleanup, Cleanup::Clean);
    scene.is_clean("a group");
    let asked = scene.fake.take_asked();
    let groups = asked
        .iter()
        .filter(|one| one.is(Verb::Create, Kind::VolumeGroupSnapshot));
    assert_eq!(groups.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_class_that_retains_groups_cuts_nothing() {
    let prepare = |fake: &Fake| {
        let class = Key::new(Kind::VolumeGroupSnapshotClass, None, "group");
        let retain = |class: &mut Value| class["deletionPolicy"] = "Retain".into();
        fake.inner.state().store.change(&class, retain);
    };
    let scene = Scene::prepared(From::Group, Pace::default(), prepare).await;
    let record = scene.run().await;
    assert_eq!(record.verdict, Some(Verdict::Inconclusive));
    let failure = record.failure.unwrap().failure;
    let expected = "VolumeGroupSnapshotClass group retains what is deleted";
    assert!(failure.message.contains(expected), "{failure}");
    let asked = scene.fake.take_asked();
    let groups = asked
        .iter()
        .filter(|one| one.is(Verb::Create, Kind::VolumeGroupSnapshot));
    assert_eq!(groups.count(), 0);
    scene.is_clean("a class that retains groups");
}

#[tokio::test(flavor = "multi_thread")]
async fn why_a_snapshot_is_never_ready_is_said() {
    for (stop, cause) in [
        (Stop::Untouched, "no snapshot controller has taken it up"),
        (
            Stop::Bound("the array is read-only"),
            "the array is read-only",
        ),
        (Stop::Cut, "does not say that it can be used"),
    ] {
        let mut scene = Scene::prepared(From::Snapshot, Pace::default(), |fake| {
            fake.inner.state().habits.stops = Some(stop);
        })
        .await;
        let patience = Duration::from_secs(1);
        scene.drill.deadlines.insert(Step::Capture, patience);
        let record = scene.run().await;
        assert_eq!(record.verdict, Some(Verdict::Inconclusive), "{stop:?}");
        let failure = record.failure.unwrap().failure;
        let diagnosis = failure.diagnosis.join("\n");
        assert!(diagnosis.contains(cause), "{stop:?}: {diagnosis}");
        scene.is_clean("a snapshot that is never ready");
    }
}

/// The storage classes that a run of the scene's drill would take volumes of.
async fn classes(scene: &Scene) -> Vec<String> {
    let workload = scene.drill.workload.kubernetes().unwrap();
    let clusters = Clusters::default();
    let engine = RemoteEngine::new(
        scene.drill.clone(),
        workload.clone(),
        String::new(),
        clusters,
    );
    engine
        .storage_classes()
        .await
        .unwrap()
        .into_iter()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_share_the_classes_of_their_own_volumes() {
    let mut scene = Scene::new(From::Group, Pace::default()).await;
    assert_eq!(classes(&scene).await, ["fast"]);
    let sandbox = scene.drill.kubernetes.as_mut().unwrap();
    let mapped = ("fast".to_owned(), "scratch".to_owned());
    sandbox.storage_classes.extend([mapped]);
    assert_eq!(classes(&scene).await, ["scratch"]);

    // A claim that names none has the cluster's default one.
    let nameless = |fake: &Fake| {
        let mut state = fake.inner.state();
        let class = Key::new(Kind::StorageClass, None, "fast");
        let default = "storageclass.kubernetes.io/is-default-class";
        state.store.change(&class, |class| {
            class["metadata"]["annotations"] = json!({ default: "true" });
        });
        let claim = Key::new(Kind::PersistentVolumeClaim, Some("shop"), "data-db-0");
        let set = Key::new(Kind::StatefulSet, Some("shop"), "db");
        for (key, path) in [(claim, "/spec"), (set, "/spec/volumeClaimTemplates/0/spec")] {
            state.store.change(&key, |object| {
                let spec = object.pointer_mut(path).unwrap();
                spec.as_object_mut().unwrap().remove("storageClassName");
            });
        }
    };
    let scene = Scene::prepared(From::Snapshot, Pace::default(), nameless).await;
    assert_eq!(classes(&scene).await, ["fast"]);
}
