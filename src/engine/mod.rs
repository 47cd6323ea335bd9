//! Engines: the kinds of database Lifeboat knows.
//!
//! An engine has two sides. [`Source`] is about the live workload, which is
//! only read. [`Copy`] is about the restored instance in the sandbox. The
//! runner orders the calls and knows no engine.

pub mod expect;
pub mod postgresql;
pub mod sqlite;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    domain::{
        canary::CanaryOutcome,
        check::{CheckResult, Finding},
        event::{EventKind, Unit},
        failure::Failure,
        ids::RunId,
        objective::NewestWrite,
        record::{RestoreFacts, SourceFacts},
        recovery_point::RecoveryPoint,
        timeline::Milestone,
    },
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
}

impl Context {
    /// Tells that a milestone is reached, now.
    pub fn reached(&self, milestone: Milestone) {
        self.events.emit(EventKind::Reached { milestone });
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
    /// is missing. Never fails: what cannot be looked at is a finding.
    async fn preflight(&self, cx: &Context) -> Vec<Finding>;

    /// What the source is. `None` where the drill names no live source.
    async fn inspect(&self, cx: &Context) -> Result<Option<SourceFacts>, Failure>;

    /// Makes a fresh recovery point in the directory `into`, with fingerprint,
    /// inventory and canary log taken at the very cut. What an earlier attempt
    /// left there is taken away first.
    async fn capture(&self, cx: &Context, into: &Path) -> Result<RecoveryPoint, Failure>;

    /// Says what the existing backup at `path` is, without altering it.
    async fn identify(&self, cx: &Context, path: &Path) -> Result<RecoveryPoint, Failure>;
}

/// The restored instance. `dir` is the sandbox's own directory: everything
/// the engine makes lies in it, so removing it removes everything.
#[async_trait]
pub trait Copy: Send + Sync {
    /// Starts an empty instance (or prepares one) inside `dir`.
    /// Tells [`Milestone::StorageBound`] and, where the instance takes
    /// connections already, [`Milestone::Accepting`].
    async fn start(
        &self,
        cx: &Context,
        point: &RecoveryPoint,
        source: Option<&SourceFacts>,
        dir: &Path,
    ) -> Result<Instance, Failure>;

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
    /// The sandbox's directory.
    pub dir: std::path::PathBuf,
    /// How it is reached, in the engine's own terms.
    pub endpoint: serde_json::Value,
}

/// What loading gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Restored {
    pub facts: RestoreFacts,
    /// The `load` check: every error of the loader, classified.
    pub checks: Vec<CheckResult>,
}

/// What to verify against.
#[derive(Debug, Clone, Copy)]
pub struct VerifyRequest<'a> {
    pub point: &'a RecoveryPoint,
    pub source: Option<&'a SourceFacts>,
    /// The instant of the declared disaster, for ages.
    pub declared_at: jiff::Timestamp,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// One byte of one row is changed.
    RowByte,
    /// One acknowledged canary write is dropped.
    CanaryWrite,
    /// One index is damaged.
    Index,
}
