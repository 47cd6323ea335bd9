//! The port to the history: what the runner needs remembered.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::{
    budget::Demand,
    failure::{Failure, FailureKind},
    ids::RunId,
    journal::Entry,
    record::RunRecord,
    resource::Resource,
    step::Acquired,
};

/// The right to write to a run's history. A process that lost its claim, because
/// another one took the run over, can write nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub run: RunId,
    /// Grows with every takeover.
    pub epoch: i64,
}

/// The process that works on a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub host: String,
    /// Changes with every start of the machine.
    pub boot: String,
    pub pid: u32,
    /// When the process started, in clock ticks since boot: with the pid it
    /// names a process for good.
    pub start_ticks: u64,
    /// Whether it is the service of its history, of which there is one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub service: bool,
}

/// How it is known that nobody works on a run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// Its process was looked at, or is this one.
    Seen,
    /// Its owner has said nothing for too long. It may say something yet, until
    /// the very instant at which the run is taken over.
    Silent,
}

/// One change to what is remembered of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Write<'a> {
    /// A line of the journal.
    Entry(&'a Entry),
    /// A resource that is about to be made.
    Intend(Acquired, &'a Resource),
    /// A resource of which more is known now that it is made: the old line,
    /// and the new one.
    Identify(Acquired, &'a Resource, &'a Resource),
    /// All that was acquired so was seen to be gone.
    Strike(Acquired),
    /// The record as it stands now.
    Record(&'a RunRecord),
}

/// A run whose end was not written.
#[derive(Debug, Clone, PartialEq)]
pub struct Unfinished {
    pub record: RunRecord,
    pub owner: Owner,
    pub epoch: i64,
    pub journal: Vec<Entry>,
    pub ledger: Vec<(Acquired, Resource)>,
}

/// A run that was taken over, as it stands from then on: nobody else writes to it.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenOver {
    pub claim: Claim,
    pub record: RunRecord,
    pub journal: Vec<Entry>,
    pub ledger: Vec<(Acquired, Resource)>,
}

impl TakenOver {
    /// As it was read once the claim was had.
    #[must_use]
    pub fn new(claim: Claim, run: Unfinished) -> Self {
        Self {
            claim,
            record: run.record,
            journal: run.journal,
            ledger: run.ledger,
        }
    }
}

/// Where runs are remembered. Every call is durable when it returns.
#[async_trait]
pub trait RunStore: Send + Sync {
    /// Begins a run.
    ///
    /// # Errors
    /// [`StoreError::Fired`] if the run is for a fire time that is dealt with,
    /// [`StoreError::Requested`] if it was requested under the same name before,
    /// [`StoreError::Busy`] if a run of the drill is going on, and
    /// [`StoreError::NoRoom`] if too many others are; in this order.
    async fn begin(
        &self,
        record: &RunRecord,
        owner: &Owner,
        demand: &Demand,
    ) -> Result<Claim, StoreError>;

    /// Makes all changes or none.
    ///
    /// # Errors
    /// [`StoreError::ClaimLost`] if somebody else took over.
    async fn write(
        &self,
        claim: &Claim,
        at: Timestamp,
        writes: &[Write<'_>],
    ) -> Result<(), StoreError>;

    /// The runs that are not finished, oldest first. Without those that cannot be
    /// read, as a newer version may have written them.
    ///
    /// What is told of one may be written to at any time, even between its parts:
    /// good for judging whose it is, and nothing else.
    async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError>;

    /// All that are not finished, also those that cannot be read.
    async fn open(&self) -> Result<Vec<RunId>, StoreError>;

    /// Takes a run over, and gives it as it stands then; `None` if somebody else
    /// was faster, or its owner is found alive after all.
    async fn take_over(
        &self,
        run: RunId,
        epoch: i64,
        owner: &Owner,
        gone: Gone,
    ) -> Result<Option<TakenOver>, StoreError>;
}

/// Why the history could not serve.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("drill {drill} is already running: run {run}, process {} on {}", owner.pid, owner.host)]
    Busy {
        drill: String,
        run: RunId,
        owner: Owner,
    },
    #[error("the fire time {scheduled_for} of drill {drill} was dealt with by another process")]
    Fired {
        drill: String,
        scheduled_for: Timestamp,
    },
    #[error("stopped on request before the run began")]
    Cancelled,
    #[error("run {run} was begun for the same request")]
    Requested { run: RunId },
    #[error("as many runs as may go on already do: {limit}")]
    NoRoom {
        /// The limit that is reached.
        limit: &'static str,
    },
    #[error("run {run} was taken over by another process")]
    ClaimLost { run: RunId },
    #[error("run {run} is left to the service that starts next")]
    Parked { run: RunId },
    /// There is no room for another line.
    #[error("the history cannot be {doing}: no space is left on its disk")]
    Full { doing: &'static str },
    /// Its schema is not one that this program makes or knows how to change.
    #[error("the history was written by a version of Lifeboat that this one does not know")]
    Foreign {
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It may be possible soon.
    #[error("the history cannot be {doing} now")]
    Unreachable {
        doing: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The file, the disk or the database.
    #[error("the history cannot be {doing}")]
    Backend {
        doing: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What is stored contradicts itself.
    #[error("the history is inconsistent at run {run}: {what}")]
    Inconsistent { run: String, what: String },
}

impl StoreError {
    /// Whether a run was not begun, for a reason that is none of an error.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Busy { .. } | Self::Fired { .. } | Self::Requested { .. } | Self::NoRoom { .. }
        )
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Busy { .. } => Some("wait for its end, or stop it and run `lifeboat sweep`"),
            Self::ClaimLost { .. } => {
                Some("`lifeboat show` tells how it was ended there; run the drill again")
            }
            Self::Full { .. } => Some("make room there, or choose another place with --state-dir"),
            Self::Foreign { .. } => Some(
                "use the version that wrote it or a newer one, or begin another history elsewhere \
                 with --state-dir",
            ),
            Self::Backend { .. } => Some(
                "see whether this user may read and write there, or choose another place with \
                 --state-dir",
            ),
            Self::Unreachable { .. } => {
                Some("see whether the database of --history is up and can be reached from here")
            }
            Self::NoRoom { .. } => Some("wait until others have ended"),
            Self::Inconsistent { .. }
            | Self::Fired { .. }
            | Self::Requested { .. }
            | Self::Parked { .. }
            | Self::Cancelled => None,
        }
    }
}

impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Self {
        let kind = match error {
            StoreError::Busy { .. }
            | StoreError::ClaimLost { .. }
            | StoreError::Fired { .. }
            | StoreError::Requested { .. } => FailureKind::Conflict,
            StoreError::Cancelled | StoreError::Parked { .. } => FailureKind::Cancelled,
            StoreError::Full { .. } | StoreError::NoRoom { .. } => FailureKind::Exhausted,
            StoreError::Backend { .. } | StoreError::Unreachable { .. } => FailureKind::Unavailable,
            StoreError::Foreign { .. } => FailureKind::Invalid,
            StoreError::Inconsistent { .. } => FailureKind::Internal,
        };
        let source = std::error::Error::source(error);
        let message = match source {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        let failure = Self::new(kind, message);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
