//! What can go wrong in a cluster: each ends with a clear word on what it was,
//! and nothing left.

use serde_json::Value;

use crate::{
    needs_cluster,
    support::{
        kubectl::{apply, kubectl, storage_class, try_kubectl},
        lifeboat::{Lifeboat, record},
        progress::{SLOW, sandbox_of, until_running},
        site,
        source::{Shape, Source},
    },
};

/// All that is said of a failure.
fn said(record: &Value) -> String {
    assert_eq!(record["verdict"], "inconclusive", "{record:#}");
    format!("{:#}", record["failure"])
}

/// A node asks for the claims of a pod as soon as it hears of that. Where the
/// API server has not yet heard that the pod is the node's, it is refused, and
/// asks again only a while later: in a run with a short deadline that hides
/// what the test is about.
fn too_early(said: &str) -> bool {
    said.contains(r#"is forbidden: User \"system:node:"#)
}

fn snapshot_class(name: &str, policy: &str, parameters: &str) {
    try_kubectl(&["delete", "volumesnapshotclass", name]);
    apply(&format!(
        "apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshotClass\n\
         metadata: {{ name: {name} }}\ndriver: {}\ndeletionPolicy: {policy}\n\
         parameters: {{ {parameters} }}\n",
        site::DRIVER.name()
    ));
}

#[test]
fn what_keeps_a_copy_from_starting_is_named() {
    needs_cluster!();
    let source = Source::new("faults");
    let lifeboat = Lifeboat::new();
    let drill = |more: &str, spec: &str| {
        lifeboat.drill(
            &source,
            false,
            more,
            &format!("  recoveryPoint: {{ snapshot: {{}} }}\n{spec}"),
        );
        let mut tries = std::iter::repeat_with(|| said(&lifeboat.run(&[])));
        tries.find(|said| !too_early(said)).unwrap()
    };
    let deadline = "  deadlines: { start: 12s }\n";

    if site::driver_misbehaves() {
        storage_class("t-faults-full", "failWith: \"no space left on the array\"");
        let text = drill(
            "",
            &format!("{}{deadline}", site::mapped_to("t-faults-full")),
        );
        assert!(text.contains("no space left on the array"), "{text}");
        kubectl(&["delete", "storageclass", "t-faults-full"]);
    }

    let text = drill("", &site::mapped_to("t-none"));
    assert!(text.contains("there is no storage class t-none"), "{text}");

    // Nothing of it may be left, as a volume of that class would be.
    if site::RETAINS.is_there() {
        let text = drill("", &site::mapped_to(&site::RETAINS.name()));
        assert!(text.contains("has the reclaim policy Retain"), "{text}");
    }

    let manifests = source.manifests(&Shape::default());
    let file = lifeboat.path("db.yaml");
    let with_file = "        manifests: [db.yaml]\n";
    std::fs::write(
        &file,
        manifests.replace(&site::POSTGRES.name(), "drill/nobody:7"),
    )
    .unwrap();
    let text = drill(with_file, deadline);
    assert!(
        text.contains("drill/nobody:7") && text.contains("Image"),
        "{text}"
    );

    let pinned = manifests.replace(
        "      containers:",
        "      nodeSelector: { disk: none }\n      containers:",
    );
    std::fs::write(&file, pinned).unwrap();
    let text = drill(with_file, deadline);
    assert!(
        text.contains("didn't match Pod's node affinity/selector"),
        "{text}"
    );

    std::fs::write(
        &file,
        manifests.replace("name: db-conf, key", "name: db-gone, key"),
    )
    .unwrap();
    let text = drill(with_file, deadline);
    assert!(
        text.contains("db-gone, which container postgres refers to"),
        "{text}"
    );

    let crash = manifests.replace("-c, work_mem=$(WORK_MEM)", "-c, work_mem=no-number");
    std::fs::write(&file, crash).unwrap();
    let text = drill(with_file, deadline);
    assert!(
        text.contains("no-number"),
        "the engine's own words are shown: {text}"
    );
}

#[test]
fn a_snapshot_that_fails_is_never_ready_or_would_stay_is_named() {
    needs_cluster!(site::driver_misbehaves());
    let source = Source::new("snapfaults");
    snapshot_class(
        "t-snap-broken",
        "Delete",
        "failWith: \"the array is read-only\"",
    );
    snapshot_class("t-snap-never", "Delete", "neverReady: \"true\"");
    snapshot_class("t-snap-keeps", "Retain", "");
    let before = source.objects();
    let lifeboat = Lifeboat::new();
    let drill = |class: &str, limit: &str| {
        let spec = format!(
            "  recoveryPoint: {{ snapshot: {{ class: {class}, holdLimit: 8s }} }}\n{limit}"
        );
        lifeboat.drill(&source, false, "", &spec);
        said(&lifeboat.run(&[]))
    };
    let text = drill("t-snap-broken", "");
    assert!(text.contains("the array is read-only"), "{text}");
    let text = drill("t-snap-never", "  deadlines: { capture: 10s }\n");
    assert!(text.contains("timeout"), "{text}");
    let cause = "its driver has cut it, and does not say that it can be used";
    assert!(text.contains(cause), "{text}");
    let text = drill("t-snap-keeps", "");
    assert!(text.contains("retains what is deleted"), "{text}");
    let text = drill("t-snap-none", "");
    assert!(
        text.contains("there is no VolumeSnapshotClass t-snap-none"),
        "{text}"
    );
    assert_eq!(
        source.objects(),
        before,
        "the source's objects are as they were"
    );
    for class in ["t-snap-broken", "t-snap-never", "t-snap-keeps"] {
        kubectl(&["delete", "volumesnapshotclass", class]);
    }
}

#[test]
fn a_pod_that_is_killed_ends_the_run() {
    needs_cluster!();
    let source = Source::new("podkill");
    let lifeboat = Lifeboat::new();
    lifeboat.drill(
        &source,
        false,
        "",
        &format!("  recoveryPoint: {{ snapshot: {{}} }}\n{SLOW}"),
    );
    let run = lifeboat.begin();
    let namespace = sandbox_of(&source);
    until_running(&namespace);
    kubectl(&[
        "-n",
        &namespace,
        "delete",
        "pod",
        "db-0",
        "--grace-period=1",
    ]);
    let record = record(&run.wait_with_output().unwrap());
    let text = said(&record);
    let told = text.contains("was ended by somebody else") || text.contains("went away");
    assert!(told, "{text}");
    assert_eq!(record["cleanup"]["state"], "clean");
}

#[test]
fn a_quota_that_refuses_is_named() {
    needs_cluster!();
    let source = Source::new("quota");
    let lifeboat = Lifeboat::new();
    lifeboat.drill(&source, false, "", "  recoveryPoint: { snapshot: {} }\n");
    let run = lifeboat.begin();
    let namespace = sandbox_of(&source);
    apply(&format!(
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {{ name: tight, namespace: {namespace} }}\n\
         spec: {{ hard: {{ pods: \"0\" }} }}\n"
    ));
    let text = said(&record(&run.wait_with_output().unwrap()));
    assert!(text.contains("exceeded quota: tight"), "{text}");
    assert!(text.contains("exhausted"), "{text}");
}

#[test]
fn ctrl_c_gives_everything_back() {
    needs_cluster!();
    let source = Source::new("ctrlc");
    let lifeboat = Lifeboat::new();
    lifeboat.drill(
        &source,
        false,
        "",
        &format!("  recoveryPoint: {{ snapshot: {{}} }}\n{SLOW}"),
    );
    let run = lifeboat.begin();
    let namespace = sandbox_of(&source);
    until_running(&namespace);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(run.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    let record = record(&run.wait_with_output().unwrap());
    assert_eq!(record["failure"]["kind"], "cancelled", "{record:#}");
    assert_eq!(record["cleanup"]["state"], "clean");
    let id = record["id"].as_str().unwrap();
    assert_eq!(crate::support::kubectl::leftovers(id), Vec::<String>::new());
}

/// Points of the journal at which the process is killed: spread over a run.
const POINTS: [u32; 7] = [3, 8, 12, 16, 20, 26, 34];

#[test]
fn killed_anywhere_it_recovers() {
    needs_cluster!();
    let source = Source::new("kill");
    let lifeboat = Lifeboat::new();
    lifeboat.drill(&source, false, "", "  recoveryPoint: { snapshot: {} }\n");
    let before = source.objects();
    let file = lifeboat.path("drill.yaml").display().to_string();
    for (number, point) in POINTS.into_iter().enumerate() {
        let output = lifeboat
            .command(&["run", &file])
            .env("LIFEBOAT_TEST_KILL_AT", point.to_string())
            .output()
            .unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
        assert_eq!(
            signal,
            Some(9),
            "at {point}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let swept = lifeboat.sweep();
        assert!(
            swept.status.success(),
            "at {point}: {}",
            String::from_utf8_lossy(&swept.stdout)
        );
        let runs = lifeboat.runs();
        assert_eq!(runs.len(), number + 1, "one record per run");
        for run in &runs {
            assert_eq!(run["cleanup"]["state"], "clean", "at {point}: {run:#}");
            let left = crate::support::kubectl::leftovers(run["id"].as_str().unwrap());
            assert_eq!(left, Vec::<String>::new(), "killed at {point}");
        }
        assert_eq!(source.objects(), before, "killed at {point}");
    }
}
