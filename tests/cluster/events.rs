//! Events about workloads whose drills have ended, written with the one right
//! that the manifests give for that.

use std::path::Path;

use serde_json::Value;

use crate::{
    needs_cluster,
    support::{
        account::Account,
        kubectl::{apply, kubectl, objects, until},
        lifeboat::Lifeboat,
        serving::Serving,
        source::Source,
    },
};

/// A service that runs nothing by itself: it tells of what is run beside it.
fn teller(lifeboat: &Lifeboat, drill: &Path) -> Serving {
    let targets = lifeboat.path("notify.yaml");
    let text = "- { name: events, on: [every], kubernetesEvents: {}, \
                text: '{drill} {verdict}: {reasons}' }\n";
    std::fs::write(&targets, text).unwrap();
    let targets = targets.display().to_string();
    Serving::start(lifeboat, drill, &["--notify", &targets])
}

/// What is written of a run.
fn written(source: &Source, run: &Value) -> Vec<Value> {
    let all = objects(&["-n", &source.namespace, "events.events.k8s.io"]);
    let name = format!("lifeboat-{}", run["id"].as_str().unwrap());
    let of_run = all.into_iter();
    of_run
        .filter(|event| event["metadata"]["name"] == name)
        .collect()
}

/// Makes all that was told due again, as if every answer had been lost.
fn forget_answers(lifeboat: &Lifeboat) {
    let history = rusqlite::Connection::open(lifeboat.path("state/history.db")).unwrap();
    let due = "update notices set due_at = 0";
    assert!(history.execute(due, []).unwrap() > 0);
}

fn untold(lifeboat: &Lifeboat) -> i64 {
    let history = rusqlite::Connection::open(lifeboat.path("state/history.db")).unwrap();
    let due = "select count(*) from notices where due_at is not null";
    history.query_row(due, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_workload_has_an_event_of_each_drill() {
    needs_cluster!();
    let source = Source::new("events");
    let account = Account::new("events");
    account.may_drill(&source.namespace, &["db-auth", "drill-auth"]);
    let lifeboat = Lifeboat::of(&account);
    let snapshot = "  recoveryPoint: { snapshot: {} }\n";
    let drill = lifeboat.drill(&source, false, "", snapshot);
    let telling = teller(&lifeboat, &drill);
    let passed = lifeboat.run(&[]);
    assert_eq!(passed["verdict"], "passed", "{passed:#}");
    until("it is said what is missing", || {
        telling.says("cannot write an Event about StatefulSet t-events/db: events.events.k8s.io is forbidden")
    });
    let consent = account.manifests("events");
    apply(&consent.replace(
        "namespace: shop\n",
        &format!("namespace: {}\n", source.namespace),
    ));
    until("the Event is there", || {
        !written(&source, &passed).is_empty()
    });
    let event = written(&source, &passed).remove(0);
    let set = objects(&["-n", &source.namespace, "statefulset", "db"]).remove(0);
    for (field, wanted) in [
        ("type", "Normal"),
        ("reason", "DrillPassed"),
        ("reportingController", "lifeboat.dev/lifeboat"),
    ] {
        assert_eq!(event[field], wanted, "{event:#}");
    }
    assert!(event["reportingInstance"].is_string(), "{event:#}");
    let note = event["note"].as_str().unwrap();
    assert!(note.starts_with("t-events passed: "), "{note}");
    assert_eq!(
        event["regarding"]["uid"], set["metadata"]["uid"],
        "{event:#}"
    );
    let described = kubectl(&["-n", &source.namespace, "describe", "statefulset", "db"]);
    assert!(described.contains("DrillPassed"), "{described}");

    // One that fails, while the service is not there.
    drop(telling);
    forget_answers(&lifeboat);
    let unheard = "  recoveryPoint: { existingSnapshot: { labels: { backup: none } } }\n";
    lifeboat.drill(&source, false, "", unheard);
    let failed = lifeboat.run(&[]);
    let telling = teller(&lifeboat, &drill);
    until("the Event is there", || {
        !written(&source, &failed).is_empty()
    });
    let event = written(&source, &failed).remove(0);
    assert_eq!(event["type"], "Warning", "{event:#}");
    let reason = match failed["verdict"].as_str().unwrap() {
        "failed" => "DrillFailed",
        other => {
            assert_eq!(other, "inconclusive");
            "DrillInconclusive"
        }
    };
    assert_eq!(event["reason"], reason, "{event:#}");
    until("all is told", || untold(&lifeboat) == 0);
    // What was told twice is there once.
    assert_eq!(written(&source, &passed).len(), 1);

    kubectl(&["-n", &source.namespace, "delete", "statefulset", "db"]);
    let lost = lifeboat.run(&[]);
    assert_ne!(lost["verdict"], "passed", "{lost:#}");
    until("it is said that the workload is gone", || {
        telling.says("there is no StatefulSet t-events/db") && untold(&lifeboat) == 1
    });
    assert_eq!(written(&source, &lost), Vec::<Value>::new());
}
