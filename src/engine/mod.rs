//! Engines: the kinds of database Lifeboat knows.
//!
//! An engine has two sides. [`Source`] is about the live workload, which is
//! only read. [`Copy`] is about the restored instance in the sandbox. The
//! runner orders the calls and knows no engine.

pub mod expect;
pub mod postgresql;
mod preflight;
pub mod sqlite;

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    domain::{
        canary::{CanaryLog, CanaryOutcome},
        check::{CheckResult, Finding},
        event::{EventKind, Unit},
        failure::{Failure, FailureKind},
        ids::RunId,
        objective::NewestWrite,
        record::{RestoreFacts, SourceFacts},
        recovery_point::RecoveryPoint,
        step::Step,
        timeline::Milestone,
    },
    sandbox::Room,
};

/// What a call is made with: identity, time, a place to tell, a way to stop.
#[derive(Clone)]
pub struct Context {
    pub run: RunId,
    pub clock: Arc<dyn Clock>,
    pub events: Arc<dyn EventSink>,
    /// Ends the call early; what it holds is released by the runner.
    pub cancel: CancellationToken,
}

/// Takes the events of one run. Never blocks.
pub trait EventSink: Send + Sync {
    /// Tells an event, with the time of this call.
    fn emit(&self, event: EventKind);

    /// Tells an event that is heard of only now, `ago` after it happened.
    fn emit_ago(&self, event: EventKind, ago: Duration) {
        let _ = ago;
        self.emit(event);
    }

    /// Tells an event that happened so long after the run was requested.
    fn emit_at(&self, event: EventKind, offset: Duration) {
        let _ = offset;
        self.emit(event);
    }

    /// How long ago the run was requested, where that is known.
    fn elapsed(&self) -> Option<Duration> {
        None
    }
}

impl Context {
    /// Tells that a milestone is reached, now.
    pub fn reached(&self, milestone: Milestone) {
        self.events.emit(EventKind::Reached { milestone });
    }

    /// Tells that a milestone was reached, `ago` before it was learnt.
    pub fn reached_ago(&self, milestone: Milestone, ago: Duration) {
        self.events.emit_ago(EventKind::Reached { milestone }, ago);
    }

    /// Tells how far some work is; `total` is 0 where it is not known.
    pub fn progress(&self, what: impl Into<String>, done: u64, total: u64, unit: Unit) {
        let what = what.into();
        self.events.emit(EventKind::Progress {
            what,
            done,
            total,
            unit,
        });
    }

    /// Tells something worth knowing.
    pub fn note(&self, message: impl Into<String>) {
        self.events.emit(EventKind::Note {
            message: message.into(),
        });
    }
}

/// The live workload. Everything here only reads, except the canary.
#[async_trait]
pub trait Source: Send + Sync {
    /// Tries out everything a run will need, and says what to do about what
    /// is missing. Never fails: what cannot be looked at is a finding. What a
    /// run makes on this machine, it would make below `scratch`.
    async fn preflight(&self, cx: &Context, scratch: &Path) -> Vec<Finding>;

    /// What the source is. `None` where the drill names no live source.
    async fn inspect(&self, cx: &Context) -> Result<Option<SourceFacts>, Failure>;

    /// Makes a fresh recovery point in the place `into`, with fingerprint,
    /// inventory and canary log taken at the very cut. What an earlier attempt
    /// left there is taken away first.
    async fn capture(&self, cx: &Context, into: &Room) -> Result<RecoveryPoint, Failure>;

    /// Holds the source still until `let_go`, so that its volumes can be cut
    /// meanwhile; calls `held` when it is. With `quiesce` the engine itself is
    /// told; without, only the canary waits.
    async fn hold(
        &self,
        _cx: &Context,
        _quiesce: bool,
        _held: &(dyn Fn(Held) + Send + Sync),
        _let_go: CancellationToken,
    ) -> Result<LetGo, Failure> {
        Err(Failure::new(
            FailureKind::Invalid,
            "this engine cannot be held while its volumes are cut",
        ))
    }

    /// Finds an existing recovery point that is no file; `within` a place of
    /// the run's, where one is needed to look from.
    async fn find(&self, _cx: &Context, _within: Option<&Room>) -> Result<RecoveryPoint, Failure> {
        Err(Failure::new(
            FailureKind::Invalid,
            "this engine has no recovery points but files and directories",
        ))
    }

    /// Brings a recovery point that lies in a bucket into the directory
    /// `into`, and says what it is there.
    async fn fetch(
        &self,
        _cx: &Context,
        _point: &RecoveryPoint,
        _into: &Path,
    ) -> Result<RecoveryPoint, Failure> {
        Err(Failure::new(
            FailureKind::Invalid,
            "this engine has no recovery points in buckets",
        ))
    }

    /// Says what the existing backup at `path` is, without altering it.
    async fn identify(&self, cx: &Context, path: &Path) -> Result<RecoveryPoint, Failure>;
}

/// The restored instance. Everything that the engine makes lies in the
/// sandbox's own place, so removing that removes everything.
#[async_trait]
pub trait Copy: Send + Sync {
    /// Starts an empty instance (or prepares one) inside `room`.
    /// Tells [`Milestone::StorageBound`] and, where the instance takes
    /// connections already, [`Milestone::Accepting`].
    async fn start(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        source: Option<&SourceFacts>,
        room: &Room,
    ) -> Result<Instance, Failure>;

    /// By what another process finds the copy that has started, where it goes on
    /// by itself whatever becomes of this process. Holds no secret.
    async fn handle(&self, _cx: &Context) -> Result<Option<Value>, Failure> {
        Ok(None)
    }

    /// Takes up a copy that another process has started and that went on by
    /// itself; its run has `done` this last. The calls that follow tell what came
    /// of it, with the times at which it happened.
    ///
    /// # Errors
    /// `NotFound` if it is not there any more, `Invalid` if it cannot be taken up
    /// here. After any other one it may be tried again.
    async fn resume(
        &self,
        _cx: &Context,
        _handle: &Value,
        _done: Step,
    ) -> Result<Instance, Failure> {
        Err(Failure::new(
            FailureKind::Invalid,
            "copies of this engine end with the process that started them",
        ))
    }

    /// Loads the recovery point into the instance.
    /// Tells [`Milestone::DataRestored`].
    async fn restore(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        instance: &Instance,
    ) -> Result<Restored, Failure>;

    /// Answers a real read ([`Milestone::Reads`]) and commits a real write
    /// ([`Milestone::Serving`]), leaving no trace of it.
    async fn serve(&self, cx: &Context, instance: &Instance) -> Result<(), Failure>;

    /// Makes the checks. Tells each with [`EventKind::CheckDone`].
    async fn verify(
        &self,
        cx: &Context,
        request: VerifyRequest<'_>,
        instance: &Instance,
    ) -> Result<Verification, Failure>;

    /// Spoils the copy on purpose and says what it did, in one line per fault.
    async fn spoil(
        &self,
        cx: &Context,
        faults: &[Fault],
        instance: &Instance,
    ) -> Result<Vec<String>, Failure>;
}

/// An engine, made for one drill.
pub trait Engine: Source + Copy {}

impl<T: Source + Copy> Engine for T {}

/// A started instance. Holds no secret: it is reached by a socket or file in
/// the sandbox's own directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The sandbox's directory; empty where it has none on this machine.
    pub dir: std::path::PathBuf,
    /// How it is reached, in the engine's own terms.
    pub endpoint: Value,
}

/// What loading gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    pub facts: RestoreFacts,
    /// The `load` check: every error of the loader, classified.
    pub checks: Vec<CheckResult>,
}

/// What is known of a source that holds still.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Held {
    pub source: Option<SourceFacts>,
    /// Where backup mode began, in the engine's own terms.
    pub position: Option<String>,
    /// The newest commit then, on the source's clock.
    pub newest_commit: Option<jiff::Timestamp>,
}

/// What a source gave when it was let go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetGo {
    /// Where backup mode ended.
    pub position: Option<String>,
    /// What has to lie beside the data where its volumes were not cut at once.
    pub label: Option<String>,
    pub tablespaces: Option<String>,
    pub canary: Option<CanaryLog>,
}

/// What to verify against.
#[derive(Debug, Clone, Copy)]
pub struct VerifyRequest<'a> {
    pub point: &'a RecoveryPoint,
    pub source: Option<&'a SourceFacts>,
    /// The instant of the declared disaster, for ages.
    pub declared_at: jiff::Timestamp,
}

/// Names the tables that the drill excludes from the fingerprints, as the end
/// of a summary: the proof says nothing about them.
fn unlooked(tables: &[String]) -> String {
    if tables.is_empty() {
        return String::new();
    }
    format!("; excluded by the drill: {}", tables.join(", "))
}

/// What verifying gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    pub checks: Vec<CheckResult>,
    pub canary: Option<CanaryOutcome>,
    /// The newest write found in the copy, by each basis that gave one.
    pub newest_writes: Vec<NewestWrite>,
}

/// A way to spoil a copy, to show that the drill would notice.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// One byte of one row is changed.
    RowByte,
    /// One acknowledged canary write is dropped.
    CanaryWrite,
    /// One index is damaged.
    Index,
}
