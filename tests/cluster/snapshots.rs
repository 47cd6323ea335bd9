//! Snapshots of volumes: cut by the run, or found.

use serde_json::Value;

use crate::{
    needs_cluster,
    support::{
        kubectl::{apply, kubectl, leftovers, objects, until},
        lifeboat::{Lifeboat, outcome},
        site,
        source::{Shape, Source},
    },
};

#[test]
fn a_crash_consistent_snapshot_holds_every_acknowledged_write() {
    needs_cluster!();
    let mut source = Source::new("crash");
    source.keep_writing();
    let before = source.objects();
    let lifeboat = Lifeboat::new();
    lifeboat.drill(
        &source,
        true,
        "",
        "  recoveryPoint: { snapshot: {} }\n  canary: { table: lifeboat.canary }\n  \
         checks: { integrity: full }\n",
    );
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "passed", "{record:#}");
    assert_eq!(record["proof"], "canary");
    assert_eq!(outcome(&record, "fingerprints"), "untested");
    assert_eq!(outcome(&record, "integrity"), "pass");
    assert!(record["canary"]["acknowledged"].as_u64().unwrap() >= 3);
    assert_eq!(record["recovery_point"]["cut"]["basis"], "storage");
    let bases: Vec<&Value> = record["newest_writes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| &w["basis"])
        .collect();
    assert!(bases.contains(&&"engine".into()), "{bases:?}");
    assert_eq!(
        source.objects(),
        before,
        "the source's objects are as they were"
    );
}

#[test]
fn an_application_consistent_snapshot_holds_the_engine_and_lets_it_go() {
    needs_cluster!();
    let mut source = Source::new("hold");
    source.keep_writing();
    let lifeboat = Lifeboat::new();
    lifeboat.drill(
        &source,
        true,
        "",
        "  recoveryPoint: { snapshot: { consistency: application } }\n  \
         canary: { table: lifeboat.canary }\n",
    );
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "passed", "{record:#}");
    assert_eq!(record["proof"], "canary");
    // Where backup mode ended.
    assert!(
        record["recovery_point"]["cut"]["position"].is_string(),
        "{record:#}"
    );
    let log = kubectl(&["-n", &source.namespace, "logs", "db-0"]);
    assert!(
        !log.contains("aborting backup"),
        "backup mode was ended in order"
    );
    assert_eq!(sessions(&source), "0");
}

/// Lifeboat's sessions at the source.
fn sessions(source: &Source) -> String {
    source.psql("select count(*) from pg_stat_activity where application_name like 'lifeboat%'")
}

#[test]
fn the_engine_is_let_go_when_lifeboat_dies() {
    needs_cluster!(site::driver_misbehaves());
    let source = Source::new("letgo");
    // The cut takes long, so that Lifeboat dies while it holds. What is being
    // cut cannot be removed before.
    apply(&slow_class("t-letgo-slow", "delaySeconds: \"45\""));
    let lifeboat = Lifeboat::new();
    lifeboat.drill(
        &source,
        true,
        "",
        "  recoveryPoint: { snapshot: { consistency: application, class: t-letgo-slow, \
         holdLimit: 20s } }\n",
    );
    let mut run = lifeboat.begin();
    until("backup mode", || {
        let sql = "select count(*) from pg_stat_activity where query like '%pg_backup_start%' \
                   and application_name like 'lifeboat%'";
        source.psql(sql) == "1"
    });
    run.kill().unwrap();
    run.wait().unwrap();
    // Nobody sweeps: the holder lets go by itself.
    until("the holder to let go", || sessions(&source) == "0");
    let swept = lifeboat.sweep();
    assert!(
        swept.status.success(),
        "{}",
        String::from_utf8_lossy(&swept.stdout)
    );
    let run = &lifeboat.runs()[0];
    assert_eq!(run["cleanup"]["state"], "clean", "{run:#}");
    let left = leftovers(run["id"].as_str().unwrap());
    assert_eq!(left, Vec::<String>::new());
    kubectl(&["delete", "volumesnapshotclass", "t-letgo-slow"]);
}

/// A class whose driver misbehaves.
fn slow_class(name: &str, parameters: &str) -> String {
    format!(
        "apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshotClass\n\
         metadata: {{ name: {name} }}\ndriver: {}\ndeletionPolicy: Delete\n\
         parameters: {{ {parameters} }}\n",
        site::DRIVER.name()
    )
}

#[test]
fn data_and_log_volumes_are_cut_as_a_group() {
    needs_cluster!(site::cuts_groups());
    let shape = Shape {
        wal: true,
        ..Shape::default()
    };
    let mut source = Source::of("group", &shape);
    source.keep_writing();
    let before = source.objects();
    assert_eq!(source.contents(), Vec::<Value>::new());
    let lifeboat = Lifeboat::new();
    lifeboat.drill(
        &source,
        true,
        "        dataVolume: data\n        walVolume: wal\n",
        "  recoveryPoint: { snapshot: {} }\n  canary: { table: lifeboat.canary }\n  \
         checks: { integrity: full }\n",
    );
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "passed", "{record:#}");
    assert_eq!(record["proof"], "canary");
    let snapshots = record["recovery_point"]["artifact"]["snapshots"]
        .as_array()
        .unwrap();
    assert_eq!(snapshots.len(), 2, "{snapshots:?}");
    assert_eq!(
        snapshots[0]["cut_at"], snapshots[1]["cut_at"],
        "one instant"
    );
    // Neither members of the group are left, nor what stood behind them.
    assert_eq!(source.objects(), before);
    assert_eq!(source.contents(), Vec::<Value>::new());
}

const NIGHTLY: &str = "\
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: { name: nightly, namespace: NAMESPACE, labels: { backup: nightly } }
spec: { source: { persistentVolumeClaimName: data-db-0 } }
";

/// The recovery point of a drill of that snapshot.
pub const FROM_NIGHTLY: &str =
    "  recoveryPoint: { existingSnapshot: { labels: { backup: nightly } } }\n";

/// A snapshot that somebody else has made.
pub fn nightly(source: &Source) {
    apply(&NIGHTLY.replace("NAMESPACE", &source.namespace));
    // Its controller protects it in a write of its own, before or after that.
    until("the snapshot to be ready and protected", || {
        let args = ["-n", &source.namespace, "volumesnapshot", "nightly"];
        let snapshot = &objects(&args)[0];
        let held = snapshot["metadata"]["finalizers"].as_array();
        snapshot["status"]["readyToUse"] == true && held.is_some_and(|held| held.len() == 2)
    });
}

#[test]
fn an_existing_snapshot_is_borrowed_and_never_altered() {
    needs_cluster!();
    let source = Source::new("borrowed");
    nightly(&source);
    let before = source.objects();
    let contents = source.contents();
    let lifeboat = Lifeboat::new();
    let point = "  recoveryPoint: { existingSnapshot: { labels: { backup: nightly }, \
                 backupInterval: 1d } }\n  objectives: { rpo: 2d }\n";
    lifeboat.drill(&source, false, "", point);
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "passed", "{record:#}");
    assert_eq!(record["recovery_point"]["ownership"], "borrowed");
    assert_eq!(record["rpo"]["standing"], "met");
    // However the run ends: passed, failed, stopped.
    lifeboat.drill(
        &source,
        false,
        "",
        &format!("{point}  checks: {{ rowCounts: [ {{ table: orders, min: 1000000 }} ] }}\n"),
    );
    assert_eq!(lifeboat.run(&[])["verdict"], "failed");
    lifeboat.drill(
        &source,
        false,
        "",
        &format!("{point}  deadlines: {{ start: 1s }}\n"),
    );
    assert_eq!(lifeboat.run(&[])["verdict"], "inconclusive");
    assert_eq!(
        source.objects(),
        before,
        "the source's objects are as they were"
    );
    assert_eq!(source.contents(), contents);
    // And what stands behind it can still be restored.
    lifeboat.drill(&source, false, "", point);
    assert_eq!(lifeboat.run(&[])["verdict"], "passed");
}

#[test]
fn a_workload_whose_namespace_is_gone_comes_back_from_manifests() {
    needs_cluster!(site::KEEPS.is_there());
    let source = Source::new("gone");
    source.psql("insert into orders (note) values ('the last one')");
    // A backup that outlives its namespace is one that is retained.
    apply(&NIGHTLY.replace("NAMESPACE", &source.namespace).replace(
        "spec: {",
        &format!("spec: {{ volumeSnapshotClassName: {},", site::KEEPS.name()),
    ));
    let args = ["-n", &source.namespace, "volumesnapshot", "nightly"];
    until("the snapshot to be ready", || {
        objects(&args)[0]["status"]["readyToUse"] == true
    });
    let status = &objects(&args)[0]["status"];
    let content = status["boundVolumeSnapshotContentName"]
        .as_str()
        .unwrap()
        .to_owned();
    let lifeboat = Lifeboat::new();
    std::fs::write(
        lifeboat.path("db.yaml"),
        source.manifests(&Shape::default()),
    )
    .unwrap();
    kubectl(&["delete", "namespace", &source.namespace]);
    lifeboat.drill(
        &source,
        false,
        "        manifests: [db.yaml]\n",
        &format!(
            "  recoveryPoint: {{ existingSnapshot: {{ content: {content} }} }}\n  checks:\n    \
             queries: [ {{ name: last, sql: \"select note from orders order by id desc limit 1\", \
             expect: \"= the last one\" }} ]\n"
        ),
    );
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "passed", "{record:#}");
    assert_eq!(outcome(&record, "query: last"), "pass");
    let retained = objects(&["volumesnapshotcontent", &content]);
    assert_eq!(retained[0]["spec"]["deletionPolicy"], "Retain");
    // It is the test's own to remove, with the data behind it.
    let patch = "{\"spec\":{\"deletionPolicy\":\"Delete\"}}";
    kubectl(&[
        "patch",
        "volumesnapshotcontent",
        &content,
        "--type=merge",
        "-p",
        patch,
    ]);
    kubectl(&["delete", "volumesnapshotcontent", &content]);
}

#[test]
fn without_groups_the_log_is_cut_after_the_engine_was_let_go() {
    needs_cluster!();
    let shape = Shape {
        wal: true,
        ..Shape::default()
    };
    let mut source = Source::of("loglast", &shape);
    source.keep_writing();
    let lifeboat = Lifeboat::new();
    let volumes = "        dataVolume: data\n        walVolume: wal\n";
    lifeboat.drill(
        &source,
        true,
        volumes,
        "  recoveryPoint: { snapshot: { consistency: application, groupClass: none } }\n  \
         canary: { table: lifeboat.canary }\n  checks: { integrity: full }\n",
    );
    let record = lifeboat.run(&[]);
    assert_eq!(record["verdict"], "passed", "{record:#}");
    assert_eq!(record["proof"], "canary");
    let snapshots = record["recovery_point"]["artifact"]["snapshots"]
        .as_array()
        .unwrap();
    assert!(
        snapshots[0]["cut_at"].as_str() < snapshots[1]["cut_at"].as_str(),
        "{snapshots:?}"
    );
    // Crash-consistent, that would be a torn copy.
    lifeboat.drill(
        &source,
        true,
        volumes,
        "  recoveryPoint: { snapshot: { groupClass: none } }\n",
    );
    let refused = lifeboat.run(&[]);
    assert_eq!(refused["verdict"], "inconclusive");
    let message = refused["failure"]["message"].as_str().unwrap();
    assert!(
        message.contains("cannot cut them at one instant"),
        "{message}"
    );
}
