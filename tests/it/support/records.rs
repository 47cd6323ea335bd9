//! Records of runs that ended in different ways, all times fixed.

use lifeboat::domain::{
    canary::CanaryOutcome,
    check::{CheckKind, CheckResult, Finding, Outcome, Proof},
    failure::{Failure, FailureKind},
    objective::{Measured, RecoveryPointMeasured, RpoBasis, RpoFigure, Standing},
    record::{
        Attempt, FailedStep, Fence, Made, Phase, Profile, RECORD_SCHEMA, RecoveryPointSummary,
        RestoreFacts, RunRecord, SourceFacts, StepRecord,
    },
    recovery_point::{Artifact, Cut, CutBasis, Ownership},
    resource::Resource,
    step::{Acquired, Step},
    timeline::{Milestone, Reached, Timeline},
    verdict::{Cleanup, Leak, Progress, Verdict},
};

const REQUESTED: &str = "2026-01-02T03:04:05Z";

/// Restored, proven, in time.
pub fn passed() -> RunRecord {
    RunRecord {
        schema: RECORD_SCHEMA.to_owned(),
        id: "019b7c5f-6f88-7c3e-9f21-3f9a1c0de5b2".parse().unwrap(),
        drill: "shop-nightly".to_owned(),
        engine: "postgresql".to_owned(),
        lifeboat_version: "0.1.0".to_owned(),
        workload: None,
        profile: Profile::Production,
        negative_control: false,
        progress: Progress::Complete,
        verdict: Some(Verdict::Passed),
        cleanup: Cleanup::Clean,
        reasons: vec!["restored, proven exact, and every objective met".to_owned()],
        failure: None,
        interrupted: false,
        requested_at: REQUESTED.parse().unwrap(),
        scheduled_for: None,
        request_key: None,
        finished_at: Some("2026-01-02T03:04:29Z".parse().unwrap()),
        timeline: timeline(MILESTONES),
        steps: STEPS.iter().map(step).collect(),
        rto: Measured {
            target_ms: Some(900_000),
            measured_ms: Some(12_340),
            standing: Standing::Met,
            note: None,
        },
        rpo: recovery_point_measured(),
        proof: Proof::Exact,
        checks: checks(),
        canary: Some(CanaryOutcome {
            acknowledged: 312,
            lost: Vec::new(),
            newest: Some("2026-01-02T03:04:06Z".parse().unwrap()),
        }),
        newest_writes: Vec::new(),
        source: Some(source()),
        recovery_point: Some(recovery_point()),
        restore: Some(restore()),
        resources: vec![Made {
            acquired: Acquired::Sandbox,
            resource: Resource::Directory {
                path: "/var/tmp/lifeboat/lb-000000000001".into(),
            },
            host: Some("node-1".to_owned()),
            intended_us: 2_000_000,
            gone_us: Some(9_000_000),
        }],
        planted: Vec::new(),
        notes: vec!["track_commit_timestamp is off: the engine gives no RPO figure".to_owned()],
    }
}

/// The data is wrong in many places, the target missed, a canary write lost.
pub fn failed() -> RunRecord {
    let mut record = passed();
    record.verdict = Some(Verdict::Failed);
    record.reasons = vec![
        "check fingerprints failed: 14 tables differ".to_owned(),
        "RTO missed: measured 12.3 s, target 10 s".to_owned(),
    ];
    record.rto.target_ms = Some(10_000);
    record.rto.standing = Standing::Missed;
    record.rpo.acknowledged_writes_lost = Some(1);
    record.proof = Proof::Structural;
    let fingerprints = &mut record.checks[0];
    fingerprints.outcome = Outcome::Fail;
    "14 of 20 tables differ".clone_into(&mut fingerprints.summary);
    fingerprints.findings = (1..=14).map(difference).collect();
    record.checks.push(CheckResult {
        findings: Vec::new(),
        ..check(
            CheckKind::Query,
            Outcome::Untested,
            "query: newest order",
            "deadline of 30 s passed",
        )
    });
    record
}

/// The machinery could not finish, with a diagnosis, and left something.
pub fn inconclusive() -> RunRecord {
    let mut record = passed();
    record.verdict = Some(Verdict::Inconclusive);
    record.progress = Progress::EndedIn(Step::Restore);
    record.reasons = vec!["step restore could not be done: no space left".to_owned()];
    record.failure = Some(FailedStep {
        step: Step::Restore,
        failure: Failure::new(
            FailureKind::Exhausted,
            "pg_restore ended with status 1: no space left",
        )
        .hint("free 2.1 GiB under the scratch directory, or set `sandbox.path`")
        .diagnosis([
            "could not extend file \"base/16384/16402\": No space left on device".to_owned(),
            "free: 0 B of 10.0 GiB".to_owned(),
        ]),
    });
    cut_short(&mut record);
    record.rto.note = Some("the copy never served".to_owned());
    record.cleanup = Cleanup::Leaked {
        resources: vec![Leak {
            resource: Resource::Directory {
                path: "/scratch/lb-3f9a1c0de5b2".into(),
            },
            reason: "directory not empty".to_owned(),
        }],
    };
    record
}

/// The process died in the restore.
pub fn interrupted() -> RunRecord {
    let mut record = passed();
    record.verdict = Some(Verdict::Inconclusive);
    record.progress = Progress::EndedIn(Step::Restore);
    record.interrupted = true;
    record.reasons = vec!["interrupted between declared and serving".to_owned()];
    cut_short(&mut record);
    record.rto.note = Some("the clock was interrupted".to_owned());
    record
}

/// A spoilt copy that was found out.
pub fn negative_control() -> RunRecord {
    let mut record = failed();
    record.negative_control = true;
    record.planted = vec![
        "one byte of one row of public.orders".to_owned(),
        "canary write 17 dropped".to_owned(),
        "index public.orders_pkey damaged".to_owned(),
    ];
    record
}

/// As if the restore had not ended: nothing after it is known.
fn cut_short(record: &mut RunRecord) {
    record.timeline = timeline(&MILESTONES[..6]);
    record.steps.truncate(5);
    if let Some(restore) = record.steps.last_mut() {
        restore.elapsed_us = None;
        restore.summary = None;
    }
    record.rto.measured_ms = None;
    record.rto.standing = Standing::Untested;
    record.rpo.objective.measured_ms = None;
    record.rpo.objective.standing = Standing::Untested;
    record.rpo.basis = None;
    record.rpo.figures.clear();
    record.rpo.worst_case_ms = None;
    record.rpo.backup_interval_ms = None;
    record.rpo.acknowledged_writes_lost = None;
    record.proof = Proof::None;
    record.checks.clear();
    record.canary = None;
    record.restore = None;
}

const MILESTONES: &[(Milestone, u64)] = &[
    (Milestone::Requested, 0),
    (Milestone::Started, 12),
    (Milestone::RecoveryPointReady, 5_210),
    (Milestone::Declared, 5_212),
    (Milestone::SandboxReady, 5_240),
    (Milestone::StorageBound, 5_241),
    (Milestone::DataRestored, 17_410),
    (Milestone::Accepting, 17_420),
    (Milestone::Reads, 17_500),
    (Milestone::Serving, 17_552),
    (Milestone::Verified, 23_100),
    (Milestone::Released, 23_900),
];

/// Start and length in milliseconds.
const STEPS: &[(Step, u64, u64, &str)] = &[
    (Step::Inspect, 12, 180, "PostgreSQL 15.18, 412.0 MiB"),
    (
        Step::Capture,
        192,
        5_018,
        "20 tables, fingerprinted in the dump's snapshot",
    ),
    (Step::OpenSandbox, 5_212, 28, "network and files closed"),
    (
        Step::Start,
        5_241,
        900,
        "scratch cluster accepts connections",
    ),
    (Step::Restore, 6_141, 11_269, "no errors"),
    (Step::Serve, 17_410, 142, "read answered, write committed"),
    (Step::Verify, 17_552, 5_548, "4 checks"),
];

fn timeline(milestones: &[(Milestone, u64)]) -> Timeline {
    let start: jiff::Timestamp = REQUESTED.parse().unwrap();
    let mut timeline = Timeline::default();
    for (milestone, ms) in milestones {
        let at = start + std::time::Duration::from_millis(*ms);
        let offset_us = ms * 1000;
        timeline.reach(
            *milestone,
            Reached {
                at,
                offset_us,
                lag_us: 0,
            },
        );
    }
    timeline
}

fn step((step, offset, elapsed, summary): &(Step, u64, u64, &str)) -> StepRecord {
    StepRecord {
        step: *step,
        offset_us: offset * 1000,
        elapsed_us: Some(elapsed * 1000),
        summary: Some((*summary).to_owned()),
    }
}

fn recovery_point_measured() -> RecoveryPointMeasured {
    let figure = |basis, age_ms, newest: &str| RpoFigure {
        basis,
        age_ms,
        newest: newest.parse().unwrap(),
    };
    RecoveryPointMeasured {
        objective: Measured {
            target_ms: Some(3_600_000),
            measured_ms: Some(3_004_958),
            standing: Standing::Met,
            note: None,
        },
        basis: Some(RpoBasis::Canary),
        figures: vec![
            figure(RpoBasis::Canary, 4_840, "2026-01-02T03:04:05.372Z"),
            figure(RpoBasis::Cut, 4_960, "2026-01-02T03:04:05.252Z"),
        ],
        capture_lag_ms: Some(4_958),
        backup_interval_ms: Some(3_000_000),
        worst_case_ms: Some(3_004_958),
        acknowledged_writes_lost: Some(0),
    }
}

fn check(kind: CheckKind, outcome: Outcome, name: &str, summary: &str) -> CheckResult {
    CheckResult {
        name: name.to_owned(),
        kind,
        outcome,
        summary: summary.to_owned(),
        findings: Vec::new(),
        elapsed_ms: 1_234,
    }
}

fn checks() -> Vec<CheckResult> {
    let pass = |kind, name, summary| check(kind, Outcome::Pass, name, summary);
    vec![
        pass(
            CheckKind::Fingerprints,
            "fingerprints",
            "20 tables, 1234567 rows are equal",
        ),
        pass(CheckKind::Schema, "schema", "143 objects are equal"),
        pass(
            CheckKind::Canary,
            "canary",
            "312 acknowledged writes are there",
        ),
        pass(
            CheckKind::Integrity,
            "integrity",
            "31 indexes and every page checked",
        ),
    ]
}

fn difference(number: u32) -> Finding {
    let subject = format!("table public.orders_{number}");
    let message = format!("{number} rows differ, first key (id) = ({number})");
    Finding::error(subject, message)
}

fn source() -> SourceFacts {
    SourceFacts {
        location: "db.example:5432/shop".to_owned(),
        version: "PostgreSQL 15.18".to_owned(),
        size_bytes: 432_013_312,
        clock_skew_ms: 3,
        settings: [("shared_buffers".to_owned(), "4GB".to_owned())].into(),
        details: [("role".to_owned(), "primary".to_owned())].into(),
    }
}

fn recovery_point() -> RecoveryPointSummary {
    RecoveryPointSummary {
        artifact: Artifact::LogicalDump {
            path: "/scratch/lb-3f9a1c0de5b2/dump".into(),
            format: "directory".to_owned(),
        },
        ownership: Ownership::Ours,
        cut: Cut {
            at: Some("2026-01-02T03:04:05.252Z".parse().unwrap()),
            basis: CutBasis::Snapshot,
            position: Some("0/1A2B3C4D".to_owned()),
            newest_commit: None,
        },
        size_bytes: 97_517_568,
        producer: Some("pg_dump 15.18".to_owned()),
        source_version: Some("15.18".to_owned()),
        tables: Some(20),
        rows: Some(1_234_567),
    }
}

fn restore() -> RestoreFacts {
    let phase = |name: &str, elapsed_ms| Phase {
        name: name.to_owned(),
        elapsed_ms,
    };
    RestoreFacts {
        engine_version: "PostgreSQL 15.18".to_owned(),
        fence: Fence {
            network: true,
            files: true,
            attempts: vec![Attempt {
                from: None,
                what: "connect to the source at 192.0.2.7:5432".to_owned(),
                prevented: true,
                how: "Network is unreachable (os error 101)".to_owned(),
            }],
            untested: Vec::new(),
            notes: vec!["this kernel's Landlock is older than Lifeboat's rules".to_owned()],
        },
        settings: [("max_wal_size".to_owned(), "4GB".to_owned())].into(),
        settings_changed: vec!["shared_buffers: 4GB -> 1GB".to_owned()],
        size_bytes: 430_112_768,
        critical_path: vec![
            phase("table data public.orders_3", 8_760),
            phase("index public.orders_3_pkey", 1_900),
            phase("start of the instance", 900),
        ],
    }
}
