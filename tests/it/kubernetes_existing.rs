//! Which of the snapshots that are there is taken, and that it stays as it was.

use std::collections::BTreeSet;

use lifeboat::{
    domain::{record::RunRecord, verdict::Verdict},
    k8s::Kind,
    service::Backups,
    spec::drill::{ExistingSnapshot, Pick, RecoveryPointSource},
};
use serde_json::json;

use crate::{
    kubernetes_drill::Scene,
    support::kubernetes::{DRIVER, Fake, Key, Pace, world::From},
};

/// A snapshot that somebody cut.
struct There {
    name: &'static str,
    claim: &'static str,
    cut_at: &'static str,
    ready: bool,
    group: Option<&'static str>,
}

const OLDER: There = There {
    name: "older",
    claim: "data-db-0",
    cut_at: "2026-01-01T00:00:00Z",
    ready: true,
    group: None,
};
const NEWER: There = There {
    name: "newer",
    cut_at: "2026-02-01T00:00:00Z",
    ..OLDER
};
const UNREADY: There = There {
    name: "unready",
    cut_at: "2026-03-01T00:00:00Z",
    ready: false,
    ..OLDER
};
const OF_ANOTHER: There = There {
    name: "another",
    claim: "data-db-1",
    cut_at: "2026-03-02T00:00:00Z",
    ..OLDER
};
const LOG: There = There {
    name: "log",
    claim: "wal-db-0",
    ..OLDER
};

fn put(fake: &Fake, there: &There) {
    let handle = format!("snapshot-{}", there.name);
    let content = format!("snapcontent-{}", there.name);
    let snapshot = json!({
        "metadata": { "name": there.name, "namespace": "shop", "labels": { "backup": "weekly" } },
        "spec": { "source": { "persistentVolumeClaimName": there.claim } },
        "status": {
            "boundVolumeSnapshotContentName": content, "creationTime": there.cut_at,
            "readyToUse": there.ready, "volumeGroupSnapshotName": there.group,
        },
    });
    let mut state = fake.inner.state();
    let key = Key::new(Kind::VolumeSnapshot, Some("shop"), there.name);
    state.store.create(&key, snapshot).unwrap();
    let uid = state.store.get(&key).unwrap()["metadata"]["uid"].clone();
    let cut_at: jiff::Timestamp = there.cut_at.parse().unwrap();
    let body = json!({
        "metadata": { "name": content },
        "spec": {
            "deletionPolicy": "Delete", "driver": DRIVER,
            "volumeSnapshotRef": { "namespace": "shop", "name": there.name, "uid": uid },
            "source": { "volumeHandle": "volume" },
        },
        "status": {
            "snapshotHandle": handle, "restoreSize": 1 << 30, "readyToUse": there.ready,
            "creationTime": i64::try_from(cut_at.as_nanosecond()).unwrap(),
        },
    });
    state.handles.insert(handle);
    let key = Key::new(Kind::VolumeSnapshotContent, None, &content);
    state.store.create(&key, body).unwrap();
}

fn weekly() -> ExistingSnapshot {
    ExistingSnapshot {
        name: None,
        content: None,
        labels: [("backup".to_owned(), "weekly".to_owned())].into(),
        pick: Pick::Latest,
        accept_torn_volumes: false,
        backup_interval: None,
    }
}

/// The run of a drill that wants it so, which leaves everything as it was.
async fn run(from: From, there: &[There], want: impl FnOnce(&mut ExistingSnapshot)) -> RunRecord {
    let mut scene = Scene::prepared(from, Pace::default(), |fake| {
        for one in there {
            put(fake, one);
        }
    })
    .await;
    let mut wanted = weekly();
    want(&mut wanted);
    scene.drill.recovery_point = RecoveryPointSource::ExistingSnapshot(wanted);
    let record = scene.run().await;
    scene.is_clean("a drill of what is there");
    record
}

/// The snapshot that a run was restored from, and when that was cut.
fn taken(record: &RunRecord) -> (String, String) {
    assert_eq!(
        record.verdict,
        Some(Verdict::Passed),
        "{:?}",
        record.reasons
    );
    let mut notes = record.notes.iter();
    let name = notes.find_map(|note| note.strip_prefix("restoring from VolumeSnapshot shop/"));
    let cut = &record.recovery_point.as_ref().unwrap().cut;
    (name.unwrap().to_owned(), cut.at.unwrap().to_string())
}

fn refused(record: &RunRecord) -> String {
    assert_eq!(record.verdict, Some(Verdict::Inconclusive));
    record.failure.as_ref().unwrap().failure.to_string()
}

fn is(taken: &(String, String), there: &There) -> bool {
    *taken == (there.name.to_owned(), there.cut_at.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_that_is_ready_is_taken_of_the_replicas_own() {
    let there = [OLDER, NEWER, UNREADY, OF_ANOTHER];
    let taken = taken(&run(From::Existing, &there, |_| ()).await);
    assert!(is(&taken, &NEWER), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_that_is_named_is_taken() {
    let by_name = |wanted: &mut ExistingSnapshot| {
        wanted.name = Some("older".to_owned());
        wanted.labels.clear();
    };
    let taken = taken(&run(From::Existing, &[OLDER, NEWER], by_name).await);
    assert!(is(&taken, &OLDER), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_random_any_that_is_ready_is_taken() {
    let runs = (0..12).map(|_| {
        tokio::spawn(run(From::Existing, &[OLDER, NEWER, UNREADY], |wanted| {
            wanted.pick = Pick::Random;
        }))
    });
    let mut names = BTreeSet::new();
    for record in runs.collect::<Vec<_>>() {
        names.insert(taken(&record.await.unwrap()).0);
    }
    let ready = ["newer", "older"].map(str::to_owned);
    assert_eq!(names, ready.into());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_ready_is_said() {
    let record = run(From::Existing, &[UNREADY], |_| ()).await;
    let said = refused(&record);
    assert!(said.contains("none of 1 VolumeSnapshots"), "{said}");
    let record = run(From::Existing, &[OF_ANOTHER], |_| ()).await;
    let said = refused(&record);
    assert!(
        said.contains("there is no VolumeSnapshot of data-db-0"),
        "{said}"
    );
    let by_name = |wanted: &mut ExistingSnapshot| wanted.name = Some("nowhere".to_owned());
    let said = refused(&run(From::Existing, &[], by_name).await);
    assert!(said.contains("shop/nowhere"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_volumes_have_to_be_of_one_group_or_may_be_torn_by_name() {
    let said = refused(&run(From::Group, &[OLDER, LOG], |_| ()).await);
    assert!(
        said.contains("shop/older and shop/log are of no group"),
        "{said}"
    );

    let torn = |wanted: &mut ExistingSnapshot| wanted.accept_torn_volumes = true;
    let record = run(From::Group, &[NEWER, LOG], torn).await;
    assert_eq!(
        record.verdict,
        Some(Verdict::Passed),
        "{:?}",
        record.reasons
    );
    // Of two instants the earlier is when the copy's data may end.
    let cut = record.recovery_point.unwrap().cut.at.unwrap();
    assert_eq!(cut.to_string(), LOG.cut_at);

    let of_group = |one: There| There {
        group: Some("weekly"),
        ..one
    };
    let record = run(From::Group, &[of_group(NEWER), of_group(LOG)], |_| ()).await;
    assert_eq!(
        record.verdict,
        Some(Verdict::Passed),
        "{:?}",
        record.reasons
    );
}

/// When the newest backup was made, for a drill that runs after each.
async fn newest(from: From, there: &[There]) -> Option<String> {
    let mut scene = Scene::prepared(from, Pace::default(), |fake| {
        for one in there {
            put(fake, one);
        }
    })
    .await;
    scene.drill.recovery_point = RecoveryPointSource::ExistingSnapshot(weekly());
    let newest = scene.app.newest(&scene.drill).await.unwrap();
    newest.map(|at| at.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_new_once_all_volumes_have_one() {
    let is = |there: &There| Some(there.cut_at.to_owned());
    let there = [OLDER, NEWER, UNREADY, OF_ANOTHER];
    assert_eq!(newest(From::Existing, &there).await, is(&NEWER));
    assert_eq!(newest(From::Existing, &[UNREADY, OF_ANOTHER]).await, None);
    // The volume with the log lags behind.
    assert_eq!(newest(From::Group, &[OLDER, NEWER]).await, None);
    assert_eq!(newest(From::Group, &[OLDER, NEWER, LOG]).await, is(&LOG));
}
