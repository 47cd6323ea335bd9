//! The record of a run: everything a reader may want to know, in one value
//! with a versioned JSON shape. See `docs/run-json.md`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    canary::CanaryOutcome,
    check::{CheckResult, Proof},
    failure::Failure,
    ids::RunId,
    objective::{Measured, NewestWrite, RecoveryPointMeasured},
    recovery_point::{Artifact, Cut, Ownership, RecoveryPoint},
    resource::{Resource, WorkloadRef},
    step::{Acquired, Step},
    timeline::Timeline,
    verdict::{Cleanup, Progress, Verdict},
};

/// The version of the JSON shape. Fields are only ever added under one
/// version; a reader must ignore those it does not know.
pub const RECORD_SCHEMA: &str = "lifeboat.dev/run/v1";

/// One run, whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// Always [`RECORD_SCHEMA`].
    pub schema: String,
    pub id: RunId,
    pub drill: String,
    pub engine: String,
    pub lifeboat_version: String,
    /// Which workload is protected, where it is one of Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<WorkloadRef>,
    pub profile: Profile,
    /// Whether the copy was spoilt on purpose.
    pub negative_control: bool,
    /// The three facts of how it ended. `verdict` is `None` while it goes on.
    pub progress: Progress,
    pub verdict: Option<Verdict>,
    pub cleanup: Cleanup,
    /// Why the verdict is what it is: one line each, worst first.
    pub reasons: Vec<String>,
    pub failure: Option<FailedStep>,
    /// Whether the process died in the middle.
    pub interrupted: bool,
    pub requested_at: Timestamp,
    /// The fire time of the drill's schedule that the run is for, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_for: Option<Timestamp>,
    /// What who asked for the run calls the request, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_key: Option<String>,
    pub finished_at: Option<Timestamp>,
    pub timeline: Timeline,
    pub steps: Vec<StepRecord>,
    pub rto: Measured,
    pub rpo: RecoveryPointMeasured,
    pub proof: Proof,
    pub checks: Vec<CheckResult>,
    pub canary: Option<CanaryOutcome>,
    /// The newest write in the copy, by each basis that gave one.
    pub newest_writes: Vec<NewestWrite>,
    pub source: Option<SourceFacts>,
    pub recovery_point: Option<RecoveryPointSummary>,
    pub restore: Option<RestoreFacts>,
    /// What the run made outside of itself, in the order of its intents.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Made>,
    /// What was spoilt, in a negative control.
    pub planted: Vec<String>,
    pub notes: Vec<String>,
}

impl RunRecord {
    /// The record of a run that has been requested and not begun.
    #[must_use]
    pub fn requested(id: RunId, drill: &str, engine: &str, at: Timestamp) -> Self {
        Self {
            schema: RECORD_SCHEMA.to_owned(),
            id,
            drill: drill.to_owned(),
            engine: engine.to_owned(),
            lifeboat_version: env!("CARGO_PKG_VERSION").to_owned(),
            workload: None,
            profile: Profile::default(),
            negative_control: false,
            progress: Progress::NotStarted,
            verdict: None,
            cleanup: Cleanup::Pending,
            reasons: Vec::new(),
            failure: None,
            interrupted: false,
            requested_at: at,
            scheduled_for: None,
            request_key: None,
            finished_at: None,
            timeline: Timeline::default(),
            steps: Vec::new(),
            rto: Measured::default(),
            rpo: RecoveryPointMeasured::default(),
            proof: Proof::None,
            checks: Vec::new(),
            canary: None,
            newest_writes: Vec::new(),
            source: None,
            recovery_point: None,
            restore: None,
            resources: Vec::new(),
            planted: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes what came of a check; one that is made again takes the place of the
    /// first.
    pub fn check_done(&mut self, check: CheckResult) {
        if !self.checks.contains(&check) {
            self.checks.retain(|other| other.name != check.name);
            self.checks.push(check);
        }
    }

    /// Notes what is about to be made.
    pub fn intend(&mut self, made: Made) {
        self.resources.push(made);
    }

    /// On which machine a directory was to be made, where that is known.
    #[must_use]
    pub fn host_of(&self, directory: &Resource) -> Option<&str> {
        let made = self
            .resources
            .iter()
            .find(|made| made.resource == *directory);
        made?.host.as_deref()
    }

    /// Notes what more is known of something now that it is made.
    pub fn identify(&mut self, acquired: Acquired, old: &Resource, new: &Resource) {
        let mut made = self.resources.iter_mut();
        if let Some(made) = made.find(|made| made.acquired == acquired && made.resource == *old) {
            made.resource = new.clone();
        }
    }

    /// Notes that resources were seen to be gone.
    pub fn gone(&mut self, gone_us: u64, seen: impl Fn(&Resource) -> bool) {
        for made in &mut self.resources {
            if made.gone_us.is_none() && seen(&made.resource) {
                made.gone_us = Some(gone_us);
            }
        }
        if let Cleanup::Leaked { resources } = &mut self.cleanup {
            resources.retain(|leak| !seen(&leak.resource));
        }
    }

    /// Whether it still takes what it shares with others: until everything is
    /// given back, or is known not to be.
    #[must_use]
    pub fn takes_room(&self) -> bool {
        self.finished_at.is_none() && (self.verdict.is_none() || self.cleanup == Cleanup::Pending)
    }
}

/// Something that a run made, or was about to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// What it is given back with.
    pub acquired: Acquired,
    pub resource: Resource,
    /// Of a directory, on which machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// When it was about to be made. Monotonic, since the run was requested.
    pub intended_us: u64,
    /// When it was seen to be gone; `None` while it may be there.
    pub gone_us: Option<u64>,
}

/// What may be concluded from the time that a run took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Settings and steps of the real runbook: the time is compared with the
    /// target.
    #[default]
    Production,
    /// Any accelerator goes: the time is never called RTO.
    FastValidate,
}

/// The step that ended the forward pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailedStep {
    pub step: Step,
    #[serde(flatten)]
    pub failure: Failure,
}

/// When a step ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRecord {
    pub step: Step,
    /// Monotonic, since the run was requested.
    pub offset_us: u64,
    /// `None` where the step did not end.
    pub elapsed_us: Option<u64>,
    pub summary: Option<String>,
}

/// What the source looked like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceFacts {
    /// Where it is, without credentials, such as `db.example:5432/shop`.
    pub location: String,
    pub version: String,
    pub size_bytes: u64,
    /// Source clock minus our clock, in milliseconds.
    pub clock_skew_ms: i64,
    /// Settings that differ from the engine's defaults or matter to restore
    /// time.
    pub settings: BTreeMap<String, String>,
    /// Further facts, by name.
    pub details: BTreeMap<String, String>,
}

/// A recovery point without its fingerprints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryPointSummary {
    pub artifact: Artifact,
    pub ownership: Ownership,
    pub cut: Cut,
    pub size_bytes: u64,
    pub producer: Option<String>,
    pub source_version: Option<String>,
    pub tables: Option<u64>,
    pub rows: Option<u64>,
}

impl RecoveryPointSummary {
    /// The recovery point, without what of its data is known, which is too much to
    /// be kept: fingerprint, inventory and canary.
    #[must_use]
    pub fn point(self) -> RecoveryPoint {
        RecoveryPoint {
            size_bytes: self.size_bytes,
            producer: self.producer,
            source_version: self.source_version,
            ..RecoveryPoint::new(self.artifact, self.ownership, self.cut)
        }
    }

    /// What is worth keeping of a recovery point that goes.
    #[must_use]
    pub fn of(point: &RecoveryPoint) -> Self {
        let fingerprint = point.fingerprint.as_ref();
        // The fingerprints may lie where the dump does.
        let told = |name: &str| point.details.get(name)?.parse().ok();
        Self {
            artifact: point.artifact.clone(),
            ownership: point.ownership,
            cut: point.cut.clone(),
            size_bytes: point.size_bytes,
            producer: point.producer.clone(),
            source_version: point.source_version.clone(),
            tables: fingerprint
                .map(|f| f.tables.len() as u64)
                .or_else(|| told("tables")),
            rows: fingerprint
                .map(|f| f.tables.values().map(|t| t.rows).sum())
                .or_else(|| told("rows")),
        }
    }
}

/// How the copy was made and what limits its speed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreFacts {
    pub engine_version: String,
    /// What kept the copy from reaching anything else.
    pub fence: Fence,
    /// Settings of the scratch instance that matter to restore time.
    pub settings: BTreeMap<String, String>,
    /// Settings that differ from the source's, as `name: source -> copy`.
    pub settings_changed: Vec<String>,
    pub size_bytes: u64,
    /// What the restore spent its time on, longest first.
    pub critical_path: Vec<Phase>,
}

/// One part of the restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    pub name: String,
    pub elapsed_ms: u64,
}

/// What was in force around the copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fence {
    /// No network but loopback of its own.
    pub network: bool,
    /// Files outside the sandbox cannot be written, nothing else can be run.
    pub files: bool,
    /// What was tried from inside.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
    /// What could not be tried from inside, and why: nobody knows whether it
    /// holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untested: Vec<String>,
    /// Why a part of the fence is missing, or was not tried.
    pub notes: Vec<String>,
}

/// One try to get out of the fence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// The pod it was made from, where that is one of Lifeboat's own and not the
    /// copy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Such as `connect to the source at 192.0.2.1:5432`.
    pub what: String,
    /// Whether it failed, as it should.
    pub prevented: bool,
    /// How it ended, in the system's words.
    pub how: String,
}

impl Fence {
    /// What was tried and should not have been possible.
    #[must_use]
    pub fn holes(&self) -> Vec<&str> {
        let got_out = self.attempts.iter().filter(|attempt| !attempt.prevented);
        got_out.map(|attempt| attempt.what.as_str()).collect()
    }

    /// This fence together with what a probe of the same kind of fence showed:
    /// only what holds in both holds.
    #[must_use]
    pub fn tried_by(mut self, probe: Self) -> Self {
        self.network &= probe.network;
        self.files &= probe.files;
        self.attempts.extend(probe.attempts);
        self.untested.extend(probe.untested);
        for note in probe.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self
    }
}
