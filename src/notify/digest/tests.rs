use jiff::Timestamp;

use super::*;
use crate::{
    domain::objective::{Measured, Standing},
    schedule::Reason,
};

fn run(drill: &str, second: i64, verdict: Verdict, reasons: &[&str]) -> RunRecord {
    let at = Timestamp::from_second(second).unwrap();
    let mut record = RunRecord::requested(RunId::new(at), drill, "sqlite", at);
    record.verdict = Some(verdict);
    record.reasons = reasons.iter().map(|&reason| reason.to_owned()).collect();
    record
}

fn measured(measured_ms: u64, standing: Standing) -> Measured {
    Measured {
        target_ms: Some(10_000),
        measured_ms: Some(measured_ms),
        standing,
        note: None,
    }
}

fn day() -> Period {
    Period {
        since: "2026-11-25T07:00:00Z".parse().unwrap(),
        until: "2026-11-26T07:00:00Z".parse().unwrap(),
    }
}

fn said(sum: Sum) -> Said {
    let zone = Zone::try_from("Europe/Berlin".to_owned()).unwrap();
    sum.digest().said(day(), &zone)
}

#[test]
fn that_nothing_ended_is_said() {
    let said = said(Sum::default());
    let text = "Drills from 2026-11-25 08:00 to 2026-11-26 08:00 Europe/Berlin: no run ended.";
    assert_eq!(said.slack, text);
    assert_eq!(
        said.json,
        json!({
            "schema": "lifeboat.dev/digest/v1",
            "since": "2026-11-25T07:00:00Z",
            "until": "2026-11-26T07:00:00Z",
            "text": text,
            "runs": { "passed": 0, "failed": 0, "inconclusive": 0 },
            "changed": [],
            "failed": [],
            "without_run": {},
            "longest_rto": null,
            "longest_rpo": null,
            "missed_targets": [],
        })
    );
    assert_eq!(said.about, "2026-11-25T07:00:00Z/2026-11-26T07:00:00Z");
}

/// One day of three drills: one is broken, one is repaired, one is slow.
fn a_day() -> Sum {
    use Verdict::{Failed, Inconclusive};
    let mut sum = Sum::default();
    let mut slow = run("slow", 1, Failed, &["RTO was missed"]);
    slow.rto = measured(12_345, Standing::Missed);
    slow.rpo.objective = measured(95_040_000, Standing::NoTarget);
    let mut fast = run("bank", 4, Verdict::Passed, &[]);
    fast.rto = measured(9_000_000, Standing::Untested);
    fast.profile = Profile::FastValidate;
    for (record, before) in [
        (slow, Some(Failed)),
        (
            run("shop", 2, Inconclusive, &["no room"]),
            Some(Verdict::Passed),
        ),
        (run("shop", 3, Failed, &["<rows> differ", "more"]), None),
        (fast, Some(Failed)),
    ] {
        sum.add(&record, before);
    }
    for (drill, reason, fire_times) in [
        ("shop", Reason::Missed, 2),
        ("bank", Reason::Missed, 1),
        ("bank", Reason::Overlap, 4),
    ] {
        sum.pass(&Passed {
            drill: drill.to_owned(),
            reason,
            fire_times,
        });
    }
    sum
}

#[test]
fn a_day_is_summed_up() {
    let digest = a_day().digest();
    let runs = Runs {
        passed: 1,
        failed: 2,
        inconclusive: 1,
    };
    assert_eq!(digest.runs, runs);
    let changed: Vec<_> = digest.changed.iter().map(|one| &one.drill).collect();
    assert_eq!(changed, ["bank", "shop"]);
    let shop = &digest.failed[0];
    assert_eq!((shop.runs, shop.verdict), (2, Verdict::Failed));
    assert_eq!(shop.reason.as_deref(), Some("<rows> differ"));
    assert_eq!(
        digest.without_run,
        BTreeMap::from([("missed", 3), ("overlap", 4)])
    );
    // A fast validation has no RTO.
    assert_eq!(digest.longest_rto.unwrap().measured_ms, 12_345);
    let [missed] = digest.missed_targets.as_slice() else {
        panic!("{:?}", digest.missed_targets);
    };
    assert_eq!((missed.drill.as_str(), missed.objective), ("slow", "rto"));
}

#[test]
fn a_day_reads_well_and_makes_no_mention() {
    let said = said(a_day());
    let lines: Vec<_> = said.slack.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "Changed: bank passed (was failed); shop failed (was passed).",
            "shop failed (the newest of 2): &lt;rows&gt; differ",
            "slow failed: RTO was missed",
            "Fire times without a run: 3 missed; 4 overlap.",
            "Longest: RTO 12.3 s (slow); RPO 26.4 h (slow).",
            "Missed targets: slow RTO 12.3 s, target 10.0 s.",
        ]
    );
    assert!(said.json["text"].as_str().unwrap().contains("<rows>"));
}

#[test]
fn a_digest_of_many_drills_stays_short() {
    let mut sum = Sum::default();
    for number in 0..1000 {
        let drill = format!("drill-{number:04}");
        let reason = "x".repeat(1000);
        sum.add(&run(&drill, number, Verdict::Failed, &[&reason]), None);
    }
    let said = said(sum);
    assert!(said.slack.len() < 10_000, "{}", said.slack.len());
    assert!(said.slack.contains("\nand 980 more"), "{}", said.slack);
    assert_eq!(said.json["failed"].as_array().unwrap().len(), 1000);
}
