//! Lifeboat's account: whole drills with the rights that the manifests give,
//! not one right more than is used, and every missing one named.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    needs_cluster,
    support::{
        account::Account,
        kubectl::{apply, kubectl, leftovers, objects, storage_class, until},
        lifeboat::{Lifeboat, record},
        requests::{Asked, Place, asked},
        site,
        source::{Shape, Source},
    },
};

const SECRETS: [&str; 2] = ["db-auth", "drill-auth"];

/// A workload with data and log on volumes of their own: so a drill of it needs
/// all that there is.
fn source(name: &str) -> Source {
    Source::of(
        name,
        &Shape {
            wal: true,
            ..Shape::default()
        },
    )
}

const VOLUMES: &str = "        dataVolume: data\n        walVolume: wal\n";
const GROUP: &str = "  recoveryPoint: { snapshot: { consistency: application } }\n  \
                     canary: { table: lifeboat.canary }\n";

fn existing(source: &Source) -> String {
    for volume in ["data", "wal"] {
        apply(&format!(
            "apiVersion: snapshot.storage.k8s.io/v1\nkind: VolumeSnapshot\nmetadata: \
             {{ name: {volume}-1, namespace: {}, labels: {{ backup: nightly }} }}\nspec: {{ source: \
             {{ persistentVolumeClaimName: {volume}-db-0 }} }}\n",
            source.namespace
        ));
        kubectl(&[
            "-n",
            &source.namespace,
            "wait",
            "--for=jsonpath={.status.readyToUse}=true",
            &format!("volumesnapshot/{volume}-1"),
            "--timeout=60s",
        ]);
    }
    "  recoveryPoint:\n    existingSnapshot: { labels: { backup: nightly }, acceptTornVolumes: true }\n"
        .to_owned()
}

#[test]
fn whole_drills_use_every_right_that_the_manifests_give_and_no_other() {
    needs_cluster!(
        site::cuts_groups(),
        site::WAITS.is_there(),
        site::driver_misbehaves()
    );
    let source = source("rights");
    let account = Account::new("rights");
    account.may_drill(&source.namespace, &SECRETS);
    let lifeboat = Lifeboat::of(&account);
    let mut used = BTreeSet::new();
    let mut drill = |what: &str, more: &str, spec: &str, verdict: &str| {
        let file = lifeboat.drill(&source, true, &format!("{VOLUMES}{more}"), spec);
        let file = file.display().to_string();
        let checked = lifeboat
            .command(&["check", &file])
            .env("LIFEBOAT_LOG", "debug")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&checked.stdout);
        assert!(checked.status.success(), "{what}: {text}");
        let output = lifeboat
            .command(&["run", &file])
            .env("LIFEBOAT_LOG", "debug")
            .output()
            .unwrap();
        let record = record(&output);
        assert_eq!(record["verdict"], verdict, "{what}: {record:#}");
        assert_eq!(record["cleanup"]["state"], "clean", "{what}: {record:#}");
        let left = leftovers(record["id"].as_str().unwrap());
        assert_eq!(left, Vec::<String>::new(), "{what}");
        used.extend(asked(&checked));
        used.extend(asked(&output));
    };
    let without_group = GROUP.replace("consistency", "groupClass: none, consistency");
    let dump = "  canary: { table: lifeboat.canary }\n";
    let class = site::CLASS.name();
    drill("a dump", "", dump, "passed");
    drill("a group snapshot", "", GROUP, "passed");
    drill("two snapshots", "", &without_group, "passed");
    drill("existing snapshots", "", &existing(&source), "passed");
    // Limits for all containers, and claims that name no class.
    let shape = Shape {
        wal: true,
        ..Shape::default()
    };
    let text = source
        .manifests(&shape)
        .replace(
            "memory: 64Mi } }",
            "memory: 64Mi }, limits: { memory: 1Gi } }",
        )
        .replace(&format!("      storageClassName: {class}\n"), "");
    std::fs::write(lifeboat.path("db.yaml"), text).unwrap();
    drill(
        "manifests",
        "        manifests: [db.yaml]\n",
        dump,
        "passed",
    );
    let waits = site::mapped_to(&site::WAITS.name());
    drill(
        "a class that waits",
        "",
        &format!("{GROUP}{waits}"),
        "passed",
    );
    // With something to diagnose.
    let slow = "  checks: { queries: [ { name: slow, sql: select pg_sleep(99), expect: some rows } ] }\n  \
                deadlines: { verify: 3s }\n";
    drill("no end", "", &format!("{GROUP}{slow}"), "inconclusive");
    // Claims without volumes are removed one by one.
    storage_class("t-rights-full", "failWith: \"no space left on the array\"");
    let full = site::mapped_to("t-rights-full");
    let spec = format!("{without_group}{full}  deadlines: {{ start: 12s }}\n");
    drill("no volumes", "", &spec, "inconclusive");

    // A nudge may be refused: it only makes a driver look again.
    let is_nudge = |one: &Asked| one.verb == "PATCH" && one.resource.starts_with("volumesnapshot");
    used.retain(|one| !is_nudge(one));
    let granted = granted(&account);
    let missing: Vec<_> = used.difference(&granted).collect();
    assert!(missing.is_empty(), "used and not granted: {missing:#?}");
    // What is made or removed is read only where an answer was lost or met a
    // conflict, which no good run sees.
    let looked_up = |one: &&Asked| {
        one.verb == "get"
            && ["create", "delete"].iter().any(|&verb| {
                let verb = verb.to_owned();
                granted.contains(&Asked {
                    verb,
                    ..(*one).clone()
                })
            })
    };
    // Volumes are watched only while some are still there.
    let watched = |one: &&Asked| one.verb == "watch" && one.resource == "persistentvolumes";
    // Contents of snapshots go with their namespace, by the cluster's collector,
    // where that is faster than the run.
    let collected = |one: &&Asked| {
        ["delete", "watch"].contains(&one.verb.as_str()) && one.resource == "volumesnapshotcontents"
    };
    let too_much = granted.difference(&used);
    let too_much = too_much.filter(|one| !looked_up(one) && !watched(one) && !collected(one));
    let too_much: Vec<_> = too_much.collect();
    assert!(too_much.is_empty(), "granted and never used: {too_much:#?}");
}

/// The rules of the manifests as requests. Binding a role is no request of its
/// own, and Secrets are granted by name elsewhere.
fn granted(account: &Account) -> BTreeSet<Asked> {
    let mut all = BTreeSet::new();
    let roles = [
        ("lifeboat-cluster", Place::Cluster),
        ("lifeboat-sandbox", Place::Sandbox),
        ("lifeboat-source", Place::Source),
        ("lifeboat-source-snapshots", Place::Source),
    ];
    for (role, place) in roles {
        for rule in account.rules(role) {
            for (verb, group, resource) in spread(&rule) {
                // Made in sandboxes only, which have no name before.
                let in_sandbox = resource == "rolebindings";
                all.insert(Asked {
                    place: if in_sandbox { Place::Sandbox } else { place },
                    verb,
                    group,
                    resource,
                });
            }
        }
    }
    all.retain(|one| one.verb != "bind");
    all.insert(Asked {
        verb: "get".to_owned(),
        group: String::new(),
        resource: "secrets".to_owned(),
        place: Place::Source,
    });
    all
}

/// Verb, group and resource of everything in a rule.
fn spread(rule: &Value) -> Vec<(String, String, String)> {
    let texts = |field: &str| -> Vec<String> {
        let all = rule[field].as_array().unwrap().iter();
        all.map(|one| one.as_str().unwrap().to_owned()).collect()
    };
    let mut all = Vec::new();
    for group in texts("apiGroups") {
        for resource in texts("resources") {
            for verb in texts("verbs") {
                all.push((verb, group.clone(), resource.clone()));
            }
        }
    }
    all
}

/// What a command says is missing: `create pods`, by verb and resource.
fn missing(lifeboat: &Lifeboat, args: &[&str]) -> BTreeSet<String> {
    let output = lifeboat.command(args).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let findings = told[0].get("findings").unwrap_or(&told).as_array().unwrap();
    let errors = findings.iter().filter(|one| one["severity"] == "error");
    let errors = errors.map(|one| one["message"].as_str().unwrap());
    errors
        .map(|message| match message.strip_prefix("missing: ") {
            Some(permission) => {
                let words: Vec<&str> = permission.split_whitespace().take(2).collect();
                words.join(" ")
            }
            None => message.to_owned(),
        })
        .collect()
}

/// A rule in the same words.
fn in_words(rule: &Value) -> BTreeSet<String> {
    let words = |(verb, group, resource): (String, String, String)| match group.as_str() {
        "" => format!("{verb} {resource}"),
        group => format!("{verb} {resource}.{group}"),
    };
    spread(rule).into_iter().map(words).collect()
}

/// Roles of one place, each rule taken away in turn: the role, what is left of
/// it, and what is then given nowhere there.
fn without_each<'a>(
    account: &Account,
    roles: &[&'a str],
) -> Vec<(&'a str, Vec<Value>, BTreeSet<String>)> {
    let mut all = Vec::new();
    for role in roles {
        let elsewhere = roles.iter().filter(|other| *other != role);
        let elsewhere: Vec<Value> = elsewhere.flat_map(|other| account.rules(other)).collect();
        for rule in account.rules(role) {
            let mut left = account.rules(role);
            left.retain(|other| *other != rule);
            let given: BTreeSet<String> =
                left.iter().chain(&elsewhere).flat_map(in_words).collect();
            let expected = &in_words(&rule) - &given;
            if !expected.is_empty() {
                all.push((*role, left, expected));
            }
        }
    }
    all
}

#[test]
fn each_missing_right_is_named_before_anything_is_made() {
    needs_cluster!(site::cuts_groups());
    let source = source("missing");
    let account = Account::new("missing");
    account.may_drill(&source.namespace, &SECRETS);
    let lifeboat = Lifeboat::of(&account);
    let file = lifeboat.drill(&source, true, VOLUMES, GROUP);
    let check = ["check", &file.display().to_string()];
    let doctor = ["doctor", "--namespace", &source.namespace];
    let none = BTreeSet::new();
    until("no right to be missing", || {
        missing(&lifeboat, &check) == none
    });
    assert_eq!(missing(&lifeboat, &doctor), none);
    let mut tried = 0;
    for roles in [
        &["lifeboat-cluster"][..],
        &["lifeboat-sandbox"],
        &["lifeboat-source", "lifeboat-source-snapshots"],
    ] {
        for (role, rules, expected) in without_each(&account, roles) {
            let before = account.rules(role);
            account.set_rules(role, &rules);
            let what = format!("{role} without {expected:?}");
            until(&what, || missing(&lifeboat, &check) == expected);
            assert_eq!(missing(&lifeboat, &doctor), expected, "{what}");
            account.set_rules(role, &before);
            tried += 1;
        }
    }
    assert!(tried > 15, "{tried}");
    until("all rights to be there again", || {
        missing(&lifeboat, &check) == none
    });

    account.may_drill(&source.namespace, &SECRETS[..1]);
    let expected = BTreeSet::from(["get secrets".to_owned()]);
    until("the Secret to be forbidden", || {
        missing(&lifeboat, &check) == expected
    });
    let made = objects(&[
        "namespaces",
        "-l",
        &format!("lifeboat.dev/drill={}", source.namespace),
    ]);
    assert!(made.is_empty(), "{made:#?}");
}

#[test]
fn a_death_before_it_had_its_rights_is_swept_up_all_the_same() {
    needs_cluster!();
    let source = Source::new("unbound");
    let account = Account::new("unbound");
    account.may_drill(&source.namespace, &SECRETS);
    let lifeboat = Lifeboat::of(&account);
    let file = lifeboat.drill(&source, false, "", "  recoveryPoint: { snapshot: {} }\n");
    let file = file.display().to_string();
    let before = source.objects();
    // Before the namespace was made, and with the copy in it.
    for (point, unbind) in [(5, false), (20, true), (20, false)] {
        let output = lifeboat
            .command(&["run", &file])
            .env("LIFEBOAT_TEST_KILL_AT", point.to_string())
            .output()
            .unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&output.status),
            Some(9)
        );
        let selector = format!("lifeboat.dev/drill={}", source.namespace);
        for namespace in objects(&["namespaces", "-l", &selector]) {
            let name = namespace["metadata"]["name"].as_str().unwrap();
            if unbind {
                kubectl(&["-n", name, "delete", "rolebinding", "--all"]);
            } else {
                kubectl(&["delete", "namespace", name, "--wait=false"]);
            }
        }
        let swept = lifeboat.sweep();
        let text = String::from_utf8_lossy(&swept.stdout);
        assert!(swept.status.success(), "at {point}: {text}");
        let run = &lifeboat.runs()[0];
        let left = leftovers(run["id"].as_str().unwrap());
        assert_eq!(left, Vec::<String>::new(), "at {point}");
        assert_eq!(source.objects(), before, "at {point}");
    }
}
