//! From what was seen to what it means: pure, so that every rule is tested.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    canary::CanaryOutcome,
    check::{CheckResult, Outcome, Proof},
    failure::FailureKind,
    objective::{
        Measured, NewestWrite, RecoveryPointMeasured, RpoBasis, RpoFigure, Standing, millis,
    },
    record::{FailedStep, Profile},
    timeline::{Milestone, Timeline},
    verdict::Verdict,
};

/// Everything a verdict rests on.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    pub timeline: &'a Timeline,
    pub failure: Option<&'a FailedStep>,
    /// The process died in the middle of the forward pass.
    pub interrupted: bool,
    pub profile: Profile,
    pub checks: &'a [CheckResult],
    pub rto_target: Option<Duration>,
    pub rpo: RpoEvidence<'a>,
}

/// What the recovery point actual rests on.
#[derive(Debug, Clone, Copy, Default)]
pub struct RpoEvidence<'a> {
    pub target: Option<Duration>,
    /// Whether this run made the recovery point itself.
    pub fresh: bool,
    pub backup_interval: Option<Duration>,
    /// Source clock minus our clock, in milliseconds.
    pub clock_skew_ms: i64,
    /// On the source's clock.
    pub cut: Option<Timestamp>,
    /// The newest write in the copy by basis, on the source's clock.
    pub newest: &'a [NewestWrite],
    pub canary: Option<&'a CanaryOutcome>,
}

/// What it comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion {
    pub verdict: Verdict,
    /// Worst first.
    pub reasons: Vec<String>,
    pub rto: Measured,
    pub rpo: RecoveryPointMeasured,
    pub proof: Proof,
}

/// Draws the conclusion.
#[must_use]
pub fn conclude(evidence: &Evidence<'_>) -> Conclusion {
    let rto = recovery_time(evidence);
    let rpo = recovery_point(&evidence.rpo, evidence.timeline);
    let proof = Proof::reached(evidence.checks);
    let (verdict, reasons) = verdict(evidence, &rto, &rpo.objective, proof);
    Conclusion {
        verdict,
        reasons,
        rto,
        rpo,
        proof,
    }
}

fn recovery_time(evidence: &Evidence<'_>) -> Measured {
    let measured = Measured::against(evidence.rto_target, evidence.timeline.recovery_time());
    if evidence.interrupted && measured.measured_ms.is_none() {
        return measured.untested("the run was interrupted, which spoils the clock");
    }
    if evidence.profile == Profile::FastValidate {
        return measured.untested("profile fast-validate: the time says nothing about production");
    }
    if measured.measured_ms.is_none() {
        return not_served(evidence, measured);
    }
    measured
}

/// The copy never served. If a deadline ran out after the target had, the
/// target is missed for certain, though by how much is not known.
fn not_served(evidence: &Evidence<'_>, mut measured: Measured) -> Measured {
    let timed_out = evidence
        .failure
        .is_some_and(|failed| failed.failure.kind == FailureKind::Timeout);
    let waited = evidence
        .timeline
        .get(Milestone::Declared)
        .and_then(|declared| {
            let (_, last) = *evidence.timeline.in_order().last()?;
            last.offset_us.checked_sub(declared.offset_us)
        });
    let late = waited
        .zip(measured.target_ms)
        .is_some_and(|(waited, target)| waited / 1000 >= target);
    if timed_out && late {
        measured.standing = Standing::Missed;
        measured.note = Some("the copy did not serve before the deadline".to_owned());
        return measured;
    }
    measured.untested("the copy did not get as far as serving")
}

fn recovery_point(evidence: &RpoEvidence<'_>, timeline: &Timeline) -> RecoveryPointMeasured {
    let declared = timeline
        .get(Milestone::Declared)
        .map(|reached| on_source_clock(reached.at, evidence.clock_skew_ms));
    let figures = declared.map_or_else(Vec::new, |declared| figures(evidence, declared));
    let capture_lag = evidence
        .fresh
        .then(|| capture_lag(evidence, timeline))
        .flatten();
    let worst_case = evidence
        .backup_interval
        .map(|interval| interval + capture_lag.unwrap_or_default());
    let strongest = figures.first();
    let objective = if evidence.fresh {
        fresh_objective(evidence.target, worst_case)
    } else {
        let age = strongest.map(|figure| Duration::from_millis(figure.age_ms));
        Measured::against(evidence.target, age)
    };
    RecoveryPointMeasured {
        basis: strongest.map(|figure| figure.basis),
        objective,
        capture_lag_ms: capture_lag.map(millis),
        backup_interval_ms: evidence.backup_interval.map(millis),
        worst_case_ms: worst_case.map(millis),
        acknowledged_writes_lost: evidence.canary.map(|canary| canary.lost.len() as u64),
        figures,
    }
}

/// A fresh recovery point says nothing about the schedule that protects
/// production, unless the drill states how often backups are taken.
fn fresh_objective(target: Option<Duration>, worst_case: Option<Duration>) -> Measured {
    let measured = Measured::against(target, worst_case);
    if worst_case.is_some() {
        return measured;
    }
    measured.untested(
        "the run made its own backup; state backupInterval to learn the worst case in production",
    )
}

fn figures(evidence: &RpoEvidence<'_>, declared: Timestamp) -> Vec<RpoFigure> {
    let canary = evidence.canary.and_then(|canary| canary.newest);
    let of = |basis| move |at| NewestWrite { basis, at };
    let mut all = evidence.newest.to_vec();
    all.extend(canary.map(of(RpoBasis::Canary)));
    all.extend(evidence.cut.map(of(RpoBasis::Cut)));
    all.sort();
    all.dedup_by_key(|write| write.basis);
    all.into_iter()
        .map(|write| RpoFigure {
            basis: write.basis,
            age_ms: millis(age(write.at, declared)),
            newest: write.at,
        })
        .collect()
}

fn capture_lag(evidence: &RpoEvidence<'_>, timeline: &Timeline) -> Option<Duration> {
    let ready = timeline.get(Milestone::RecoveryPointReady)?;
    Some(age(
        evidence.cut?,
        on_source_clock(ready.at, evidence.clock_skew_ms),
    ))
}

fn on_source_clock(at: Timestamp, skew_ms: i64) -> Timestamp {
    at.checked_add(jiff::SignedDuration::from_millis(skew_ms))
        .unwrap_or(at)
}

/// Zero where `from` lies after `to`: the clocks' error, not a gain.
fn age(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

fn verdict(
    evidence: &Evidence<'_>,
    rto: &Measured,
    rpo: &Measured,
    proof: Proof,
) -> (Verdict, Vec<String>) {
    let mut bad = Vec::new();
    let mut unknown = Vec::new();
    for check in evidence
        .checks
        .iter()
        .filter(|c| c.outcome == Outcome::Fail)
    {
        bad.push(format!("{}: {}", check.name, check.summary));
    }
    bad.extend(missed("RTO", rto));
    bad.extend(missed("RPO", rpo));
    if let Some(failed) = evidence.failure {
        let reason = format!("{}: {}", failed.step, failed.failure.message);
        if failed.failure.kind.condemns_backup() {
            bad.insert(0, reason);
        } else {
            unknown.push(reason);
        }
    }
    if evidence.interrupted {
        unknown.push("the process that ran the drill died in the middle".to_owned());
    }
    if evidence.failure.is_none() && !evidence.interrupted && proof == Proof::None {
        unknown.push("the copy serves, but no check proved anything about the data".to_owned());
    }
    let verdict = match (bad.is_empty(), unknown.is_empty()) {
        (false, _) => Verdict::Failed,
        (true, false) => Verdict::Inconclusive,
        (true, true) => Verdict::Passed,
    };
    bad.append(&mut unknown);
    (verdict, bad)
}

fn missed(what: &str, objective: &Measured) -> Option<String> {
    if objective.standing != Standing::Missed {
        return None;
    }
    let target = objective.target_ms.unwrap_or_default();
    Some(match objective.measured_ms {
        Some(measured) => format!("{what} missed: measured {measured} ms, target {target} ms"),
        None => format!("{what} missed: target {target} ms, and the copy did not serve in time"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{check::CheckKind, failure::Failure, step::Step, timeline::Reached};

    const T0: &str = "2026-01-01T00:00:00Z";

    fn at(seconds: i64) -> Timestamp {
        T0.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(seconds)
    }

    fn timeline(points: &[(Milestone, i64)]) -> Timeline {
        let mut timeline = Timeline::default();
        for (milestone, seconds) in points {
            let offset_us = u64::try_from(*seconds).unwrap() * 1_000_000;
            timeline.reach(
                *milestone,
                Reached {
                    at: at(*seconds),
                    offset_us,
                    lag_us: 0,
                },
            );
        }
        timeline
    }

    fn served() -> Timeline {
        timeline(&[
            (Milestone::Requested, 0),
            (Milestone::RecoveryPointReady, 20),
            (Milestone::Declared, 20),
            (Milestone::Serving, 50),
        ])
    }

    fn check(outcome: Outcome) -> CheckResult {
        CheckResult {
            name: "fingerprints".to_owned(),
            kind: CheckKind::Fingerprints,
            outcome,
            summary: "two tables differ".to_owned(),
            findings: Vec::new(),
            elapsed_ms: 1,
        }
    }

    fn evidence<'a>(timeline: &'a Timeline, checks: &'a [CheckResult]) -> Evidence<'a> {
        Evidence {
            timeline,
            failure: None,
            interrupted: false,
            profile: Profile::Production,
            checks,
            rto_target: Some(Duration::from_secs(30)),
            rpo: RpoEvidence::default(),
        }
    }

    #[test]
    fn passes_when_proven_and_in_time() {
        let (timeline, checks) = (served(), [check(Outcome::Pass)]);
        let conclusion = conclude(&evidence(&timeline, &checks));
        assert_eq!(conclusion.verdict, Verdict::Passed);
        assert_eq!(conclusion.rto.measured_ms, Some(30_000));
        assert_eq!(conclusion.proof, Proof::Exact);
    }

    #[test]
    fn a_second_too_late_fails() {
        let (timeline, checks) = (served(), [check(Outcome::Pass)]);
        let mut late = evidence(&timeline, &checks);
        late.rto_target = Some(Duration::from_secs(29));
        assert_eq!(conclude(&late).verdict, Verdict::Failed);
        late.profile = Profile::FastValidate;
        let conclusion = conclude(&late);
        assert_eq!(conclusion.verdict, Verdict::Passed);
        assert_eq!(conclusion.rto.standing, Standing::Untested);
    }

    #[test]
    fn wrong_data_fails_and_no_proof_is_inconclusive() {
        let timeline = served();
        let failed = [check(Outcome::Fail)];
        assert_eq!(
            conclude(&evidence(&timeline, &failed)).verdict,
            Verdict::Failed
        );
        let untested = [check(Outcome::Untested)];
        let conclusion = conclude(&evidence(&timeline, &untested));
        assert_eq!(conclusion.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn machinery_is_inconclusive_but_a_bad_backup_fails() {
        let timeline = timeline(&[(Milestone::Requested, 0), (Milestone::Declared, 5)]);
        for (kind, verdict) in [
            (FailureKind::Unavailable, Verdict::Inconclusive),
            (FailureKind::BadBackup, Verdict::Failed),
        ] {
            let failed = FailedStep {
                step: Step::Restore,
                failure: Failure::new(kind, "x"),
            };
            let mut evidence = evidence(&timeline, &[]);
            evidence.failure = Some(&failed);
            assert_eq!(conclude(&evidence).verdict, verdict);
        }
    }

    #[test]
    fn a_timeout_beyond_the_target_misses_it() {
        let timeline = timeline(&[
            (Milestone::Declared, 5),
            (Milestone::Accepting, 6),
            (Milestone::DataRestored, 40),
        ]);
        let failure = Failure::new(FailureKind::Timeout, "x");
        let failed = FailedStep {
            step: Step::Serve,
            failure,
        };
        let mut evidence = evidence(&timeline, &[]);
        evidence.failure = Some(&failed);
        assert_eq!(conclude(&evidence).rto.standing, Standing::Missed);
        evidence.rto_target = Some(Duration::from_mins(2));
        assert_eq!(conclude(&evidence).rto.standing, Standing::Untested);
    }

    #[test]
    fn an_interruption_spoils_the_clock() {
        let timeline = timeline(&[(Milestone::Declared, 20), (Milestone::Accepting, 90)]);
        let mut evidence = evidence(&timeline, &[]);
        evidence.interrupted = true;
        let conclusion = conclude(&evidence);
        assert_eq!(conclusion.rto.standing, Standing::Untested);
        assert_eq!(conclusion.verdict, Verdict::Inconclusive);
    }

    #[test]
    fn rpo_takes_the_strongest_basis_and_the_source_clock() {
        let timeline = served();
        let canary = CanaryOutcome {
            acknowledged: 3,
            lost: vec![],
            newest: Some(at(10)),
        };
        let rpo = recovery_point(
            &RpoEvidence {
                target: Some(Duration::from_secs(15)),
                clock_skew_ms: 2_000,
                cut: Some(at(16)),
                newest: &[NewestWrite {
                    basis: RpoBasis::Query,
                    at: at(3),
                }],
                canary: Some(&canary),
                ..RpoEvidence::default()
            },
            &timeline,
        );
        // Declared at 20 on our clock is 22 on the source's.
        let ages: Vec<_> = rpo.figures.iter().map(|f| (f.basis, f.age_ms)).collect();
        assert_eq!(
            ages,
            [
                (RpoBasis::Canary, 12_000),
                (RpoBasis::Query, 19_000),
                (RpoBasis::Cut, 6_000)
            ]
        );
        assert_eq!(rpo.objective.standing, Standing::Met);
        assert_eq!(rpo.acknowledged_writes_lost, Some(0));
    }

    #[test]
    fn a_fresh_backup_is_held_against_the_target_by_its_worst_case_only() {
        let timeline = served();
        let mut evidence = RpoEvidence {
            target: Some(Duration::from_mins(1)),
            fresh: true,
            cut: Some(at(5)),
            ..RpoEvidence::default()
        };
        let rpo = recovery_point(&evidence, &timeline);
        assert_eq!(rpo.capture_lag_ms, Some(15_000));
        assert_eq!(rpo.objective.standing, Standing::Untested);
        evidence.backup_interval = Some(Duration::from_secs(50));
        let rpo = recovery_point(&evidence, &timeline);
        assert_eq!(rpo.worst_case_ms, Some(65_000));
        assert_eq!(rpo.objective.standing, Standing::Missed);
    }
}
