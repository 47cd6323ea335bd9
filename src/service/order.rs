//! What the keeper is asked, and what it asks for.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::oneshot::Sender;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{
        budget::{Demand, Share},
        failure::Failure,
        ids::{DrillName, RunId},
        record::RunRecord,
    },
    runner::{
        cancel::Cancel,
        overrides::Overrides,
        store::{Gone, StoreError, Unfinished},
    },
    spec::{drill::Drill, packed::PackedDrill},
};

/// A run that is to be made now.
#[derive(Debug, Clone)]
pub struct Start {
    pub id: RunId,
    pub drill: Arc<PackedDrill>,
    /// The fire time that it is for; none where somebody asked for it.
    pub scheduled_for: Option<Timestamp>,
    /// When it was to start.
    pub due: Option<Timestamp>,
    /// What who asked for it calls the request.
    pub request_key: Option<String>,
    pub overrides: Overrides,
    /// How many others may go on meanwhile.
    pub demand: Demand,
    /// Which limit left no room for it at first, and for how long.
    pub held_up: Option<(&'static str, Duration)>,
    pub cancel: Cancel,
    /// Leaves the run to the service that comes next, if its copy goes on.
    pub park: CancellationToken,
}

impl Start {
    /// The whole drill.
    ///
    /// # Errors
    /// Never for a drill that was read.
    pub fn whole(&self) -> Result<Drill, StoreError> {
        unpack(&self.drill)
    }
}

pub(super) fn unpack(drill: &PackedDrill) -> Result<Drill, StoreError> {
    drill.unpack().map_err(|failure| StoreError::Backend {
        doing: "asked about a drill that cannot be read",
        source: failure.into(),
    })
}

/// A run whose process is gone, and whose copy goes on by itself.
#[derive(Debug)]
pub struct Orphan {
    pub run: Box<Unfinished>,
    pub gone: Gone,
}

/// What becomes of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heir {
    /// It is taken up here.
    Here,
    /// Not yet: another run of its drill is about to begin here, in vain.
    Later,
    /// Its drill is not one of this service.
    Nobody,
}

/// Makes runs.
#[async_trait]
pub trait Launch: Send + Sync {
    /// Makes a run, to its end.
    ///
    /// # Errors
    /// If the history refuses it or cannot be written.
    async fn run(&self, start: Start) -> Result<RunRecord, StoreError>;

    /// Takes over a run whose process is gone, and brings it to its end. `None` if
    /// another process was faster.
    ///
    /// # Errors
    /// If the history cannot be read or written.
    async fn take_up(&self, orphan: Orphan, start: Start) -> Result<Option<RunRecord>, StoreError>;

    /// What a drill's runs share beside what its file says, as far as that was
    /// found out already.
    fn learnt(&self, drill: &DrillName) -> Vec<Share>;
}

/// Looks at backups that others make.
#[async_trait]
pub trait Backups: Send + Sync {
    /// When the newest backup that a drill could use was made; none where there
    /// is none yet.
    ///
    /// # Errors
    /// If that cannot be seen.
    async fn newest(&self, drill: &Drill) -> Result<Option<Timestamp>, Failure>;
}

/// Why the keeper does not do what it is asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    #[error("there is no drill {0}")]
    Unknown(DrillName),
    #[error("drill {drill} is already running: run {run}")]
    Running { drill: DrillName, run: RunId },
    #[error("drill {drill} already waits for room: run {run}")]
    Waiting { drill: DrillName, run: RunId },
    #[error("this Idempotency-Key was used for run {run} of drill {drill}")]
    Requested { drill: DrillName, run: RunId },
    #[error("the service is stopping")]
    Stopped,
    #[error("{0}")]
    Failed(Failure),
}

/// How things stand.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// By name.
    pub drills: Vec<DrillState>,
    /// Runs that wait for room.
    pub waiting: usize,
    pub running: usize,
}

/// How a drill stands.
#[derive(Debug, Clone)]
pub struct DrillState {
    pub drill: Arc<PackedDrill>,
    pub state: State,
    /// The fire time that its run is for which goes on or waits, if it is for one.
    pub scheduled_for: Option<Timestamp>,
    /// When it starts next by itself.
    pub starts_at: Option<Timestamp>,
    /// Whether the last look has found any backup, where it runs after each.
    pub found: Option<bool>,
}

/// What a drill does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Idle,
    /// There is no room for it yet.
    Waiting {
        run: RunId,
        since: Timestamp,
    },
    Running {
        run: RunId,
        since: Timestamp,
    },
}

/// What the keeper is asked.
pub(super) enum Order {
    Replace {
        drills: Vec<Arc<PackedDrill>>,
        reply: Sender<Result<(), StoreError>>,
    },
    Run {
        drill: DrillName,
        key: Option<String>,
        overrides: Overrides,
        reply: Sender<Result<RunId, Refused>>,
    },
    TakeUp {
        orphan: Orphan,
        reply: Sender<Heir>,
    },
    Cancel {
        run: RunId,
        reply: Sender<bool>,
    },
    Answer {
        reply: Sender<()>,
    },
    Look {
        reply: Sender<Status>,
    },
    LookAt {
        drill: DrillName,
        reply: Sender<Option<DrillState>>,
    },
    LookFor {
        run: RunId,
        reply: Sender<Option<DrillState>>,
    },
}
