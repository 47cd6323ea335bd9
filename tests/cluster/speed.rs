//! How long the restore of a snapshot takes beside the same by hand, round by
//! round: `.ci/cluster speed --ignored --nocapture`.

use std::process::Command;

use crate::{
    needs_cluster,
    support::{
        kubeconfig,
        lifeboat::{Lifeboat, between},
        source::{Shape, Source},
    },
};

const ROUNDS: usize = 5;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/kubernetes.sh");
const BY_HAND: &str = "t-speed-by-hand";

#[test]
#[ignore = "a measurement"]
fn a_snapshot_is_restored_beside_a_script() {
    needs_cluster!();
    let source = Source::new("speed");
    super::snapshots::nightly(&source);
    let lifeboat = Lifeboat::new();
    let point = "  recoveryPoint: { existingSnapshot: { labels: { backup: nightly } } }\n";
    lifeboat.drill(&source, false, "", point);
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
        #[expect(clippy::cast_precision_loss, reason = "far from 2^53")]
        let micros = between(&record, "declared", "serving") as f64;
        micros / 1e6
    };
    // The first round warms up.
    let rounds: Vec<(f64, f64)> = (0..=ROUNDS).map(|_| (ours(), by_hand())).skip(1).collect();
    let median = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
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
