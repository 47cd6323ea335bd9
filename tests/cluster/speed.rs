//! How long the restore of a snapshot takes beside the same by hand, round by
//! round, and how many drills a cluster bears at once:
//! `.ci/cluster speed --ignored --nocapture`.

use std::{process::Command, time::Instant};

use serde_json::Value;

use crate::{
    needs_cluster,
    snapshots::{FROM_NIGHTLY, nightly},
    support::{
        kubeconfig,
        kubectl::leftovers,
        lifeboat::{Lifeboat, between, record},
        source::{Shape, Source},
    },
};

const ROUNDS: usize = 5;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/kubernetes.sh");
const BY_HAND: &str = "t-speed-by-hand";

/// The measured recovery time, in seconds.
#[expect(clippy::cast_precision_loss, reason = "far from 2^53")]
fn recovery(record: &Value) -> f64 {
    between(record, "declared", "serving") as f64 / 1e6
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[test]
#[ignore = "a measurement"]
fn a_snapshot_is_restored_beside_a_script() {
    needs_cluster!();
    let source = Source::new("speed");
    nightly(&source);
    let lifeboat = Lifeboat::new();
    lifeboat.drill(&source, false, "", FROM_NIGHTLY);
    let objects = source
        .manifests(&Shape::default())
        .replace(&source.namespace, BY_HAND);
    let manifests = lifeboat.path("by-hand.yaml");
    std::fs::write(&manifests, objects).unwrap();
    let by_hand = || {
        let mut script = Command::new(SCRIPT);
        script.args([&source.namespace, "nightly", BY_HAND]);
        script
            .arg(&manifests)
            .env("KUBECONFIG", kubeconfig().unwrap());
        let output = script.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        let nanoseconds: f64 = String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        nanoseconds / 1e9
    };
    let ours = || {
        let record = lifeboat.run(&[]);
        assert_eq!(record["verdict"], "passed", "{record:#}");
        recovery(&record)
    };
    // The first round warms up.
    let rounds: Vec<(f64, f64)> = (0..=ROUNDS).map(|_| (ours(), by_hand())).skip(1).collect();
    let of = |take: fn(&(f64, f64)) -> f64| median(rounds.iter().map(take).collect());
    eprintln!(
        "declared to serving: {:.2} s; by hand: {:.2} s; ratio {:.2} (pairs {:.2?})",
        of(|pair| pair.0),
        of(|pair| pair.1),
        of(|pair| pair.0) / of(|pair| pair.1),
        rounds
            .iter()
            .map(|(ours, by_hand)| ours / by_hand)
            .collect::<Vec<_>>()
    );
}

/// Drills that begin together, each in a process and with a history of its own.
const AT_ONCE: [usize; 6] = [1, 4, 8, 16, 32, 64];

#[test]
#[ignore = "a measurement"]
fn as_many_drills_at_once_as_the_cluster_bears() {
    needs_cluster!();
    let source = Source::new("many");
    nightly(&source);
    for count in AT_ONCE {
        let lifeboats: Vec<Lifeboat> = (0..count).map(|_| Lifeboat::new()).collect();
        for lifeboat in &lifeboats {
            lifeboat.drill(&source, false, "", FROM_NIGHTLY);
        }
        let begun = Instant::now();
        let running: Vec<_> = lifeboats.iter().map(Lifeboat::begin).collect();
        let records: Vec<Value> = running
            .into_iter()
            .map(|run| record(&run.wait_with_output().unwrap()))
            .collect();
        for record in &records {
            let id = record["id"].as_str().unwrap();
            assert_eq!(leftovers(id), Vec::<String>::new());
        }
        let passed = records.iter().filter(|one| one["verdict"] == "passed");
        let times: Vec<f64> = passed.map(recovery).collect();
        let (all, well) = (begun.elapsed().as_secs_f64(), times.len());
        let recovered = if times.is_empty() { 0.0 } else { median(times) };
        eprintln!(
            "{count} at once: {well} passed in {all:.0} s, declared to serving {recovered:.1} s (median)"
        );
        if well < count {
            let failed = records.iter().find(|one| one["verdict"] != "passed");
            eprintln!("the first that did not: {:#}", failed.unwrap()["reasons"]);
            break;
        }
    }
}
