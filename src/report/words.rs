//! The words for states: the same on the terminal, in the log and in HTML.

use super::format;
use crate::domain::{
    check::{CheckKind, Outcome, Proof, Severity},
    objective::Standing,
    recovery_point::CutBasis,
    step::Step,
    timeline::{Milestone, Reached},
    verdict::Verdict,
};

/// How good a thing is, for colour. Every text says it in words too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
    /// Nothing is known: never to be taken for good.
    Unknown,
    Neutral,
}

impl Tone {
    /// The class in HTML.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Unknown => "unknown",
            Self::Neutral => "neutral",
        }
    }
}

/// The verdict of a run, which may not be there yet.
#[must_use]
pub fn verdict(verdict: Option<Verdict>) -> (&'static str, Tone) {
    match verdict {
        Some(Verdict::Passed) => ("PASSED", Tone::Good),
        Some(Verdict::Failed) => ("FAILED", Tone::Bad),
        Some(Verdict::Inconclusive) => ("INCONCLUSIVE", Tone::Unknown),
        None => ("NO VERDICT YET", Tone::Unknown),
    }
}

/// Whether an objective holds.
#[must_use]
pub fn standing(standing: Standing) -> (&'static str, Tone) {
    match standing {
        Standing::Met => ("met", Tone::Good),
        Standing::Missed => ("MISSED", Tone::Bad),
        Standing::Untested => ("UNTESTED", Tone::Unknown),
        Standing::NoTarget => ("no target", Tone::Neutral),
    }
}

/// How a check ended.
#[must_use]
pub fn outcome(outcome: Outcome) -> (&'static str, Tone) {
    match outcome {
        Outcome::Pass => ("✓ pass", Tone::Good),
        Outcome::Fail => ("✗ FAIL", Tone::Bad),
        Outcome::Untested => ("– UNTESTED", Tone::Unknown),
    }
}

/// How much a finding matters.
#[must_use]
pub fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "✗",
        Severity::Warning => "!",
        Severity::Ok => "✓",
    }
}

/// What a proof means.
#[must_use]
pub fn proof(proof: Proof) -> &'static str {
    match proof {
        Proof::Exact => "fingerprints taken at the cut equal those of the copy",
        Proof::Canary => "every acknowledged canary write before the cut is in the copy",
        Proof::Structural => "the engine's integrity checks found nothing; content not compared",
        Proof::Asserted => "the drill's own queries hold; nothing else was compared",
        Proof::None => "nothing was proven",
    }
}

/// What a check looks at.
#[must_use]
pub fn check_kind(kind: CheckKind) -> &'static str {
    match kind {
        CheckKind::Fingerprints => "fingerprints",
        CheckKind::Schema => "schema",
        CheckKind::Canary => "canary",
        CheckKind::Integrity => "integrity",
        CheckKind::Load => "load",
        CheckKind::Environment => "environment",
        CheckKind::RowCount => "row count",
        CheckKind::Query => "query",
    }
}

/// How the instant of a cut is known.
#[must_use]
pub fn cut_basis(basis: CutBasis) -> &'static str {
    match basis {
        CutBasis::Snapshot => "source clock read inside the snapshot",
        CutBasis::Storage => "the storage's own record of the snapshot",
        CutBasis::Header => "from the backup's header",
        CutBasis::FileTime => "from the file's modification time",
        CutBasis::Unknown => "nothing tells",
    }
}

/// A step, for people.
#[must_use]
pub fn step(step: Step) -> &'static str {
    match step {
        Step::Inspect => "inspect source",
        Step::Capture => "recovery point",
        Step::OpenSandbox => "open sandbox",
        Step::Start => "start instance",
        Step::Restore => "restore",
        Step::Serve => "serve",
        Step::Spoil => "spoil copy",
        Step::Verify => "verify",
    }
}

/// A milestone, for people.
#[must_use]
pub fn milestone(milestone: Milestone) -> &'static str {
    match milestone {
        Milestone::Requested => "requested",
        Milestone::Started => "started",
        Milestone::RecoveryPointReady => "recovery point ready",
        Milestone::Declared => "declared",
        Milestone::SandboxReady => "sandbox ready",
        Milestone::StorageBound => "storage bound",
        Milestone::DataRestored => "data restored",
        Milestone::Accepting => "accepting",
        Milestone::Reads => "reads",
        Milestone::Serving => "serving",
        Milestone::Verified => "verified",
        Milestone::Exercised => "exercised",
        Milestone::Released => "released",
    }
}

/// How late it was learnt that a milestone was reached; empty where at once.
#[must_use]
pub fn lag(reached: Reached) -> String {
    if reached.lag_us < 1000 {
        return String::new();
    }
    format!("learnt {} later", format::duration_us(reached.lag_us))
}
