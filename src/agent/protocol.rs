//! What the agent is told, and what it tells. Both ends are one binary of one
//! version, but for a copy that outlives an update of the service: so whoever
//! changes the shape of a [`Line`] raises [`VERSION`].

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        event::EventKind,
        failure::Failure,
        ids::RunId,
        record::{Fence, RestoreFacts, SourceFacts},
        recovery_point::RecoveryPoint,
        step::Step,
    },
    engine::{Fault, Held, LetGo, Verification},
    spec::drill::Drill,
};

/// The shape of what is told. A service takes up no copy whose agent speaks
/// another one.
pub const VERSION: u32 = 1;

/// Hold the engine still while its volumes are cut, until the pod is ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hold {
    /// Tells the engine, too; else only the canary writes.
    pub quiesce: bool,
    /// Lets go after this time by itself.
    pub limit: Duration,
    pub outside: Outside,
}

/// What the agent has to do. Holds no secret: those come as files beside it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    pub run: RunId,
    pub drill: Drill,
    pub work: Work,
}

/// The kinds of work.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    Capture(Capture),
    Hold(Hold),
    Find(Box<Outside>),
    Fetch(Box<Fetch>),
    Copy(Box<Copy>),
}

impl Work {
    /// Whether it goes to the live source.
    #[must_use]
    pub fn is_at_source(&self) -> bool {
        matches!(self, Self::Capture(_) | Self::Hold(_))
    }

    /// Whether it goes to the bucket, if there is one.
    #[must_use]
    pub fn is_at_bucket(&self) -> bool {
        matches!(self, Self::Capture(_) | Self::Find(_) | Self::Fetch(_))
    }
}

/// Bring a dump from its bucket to where the copy's agent reads it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Fetch {
    pub point: RecoveryPoint,
    /// The dump and a file that describes it are put there.
    pub into: PathBuf,
    pub outside: Outside,
}

/// Make a fresh recovery point of the live source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Capture {
    /// An empty directory. What is too large to be told, the fingerprints
    /// above all, is left in a file there.
    pub into: PathBuf,
    pub outside: Outside,
}

/// Bring up the copy, and check it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Copy {
    pub point: Point,
    pub source: Option<SourceFacts>,
    pub faults: Vec<Fault>,
    /// When recovery was declared, for the ages of data.
    pub declared_at: jiff::Timestamp,
    /// A directory for the agent's own things.
    pub directory: PathBuf,
    pub outside: Outside,
}

/// Where the recovery point is described.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    Here(Box<RecoveryPoint>),
    /// In the file that a capture has left there.
    Beside(PathBuf),
}

/// What must not be reached from a pod.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outside {
    /// The pod, where it is one of Lifeboat's own and not the copy's.
    pub from: Option<String>,
    /// What the pod may reach. A network lets a pod out some time after its
    /// start, and what is kept in by that alone says nothing of the fence: so
    /// nothing is tried before this has answered, or the work is done. `None`
    /// where the pod may reach nothing, or has done so already.
    pub after: Option<Target>,
    /// What is tried.
    pub targets: Vec<Target>,
    /// What must not be reached either, but cannot be tried, and why.
    pub untested: Vec<String>,
    /// Goes on although the fence does not hold.
    pub allow_unfenced: bool,
}

/// Something to try to reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// What it is, for people: `the source`.
    pub what: String,
    pub host: String,
    pub port: u16,
}

/// A line of the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Which agent says it: one that is restarted is another one, and counts
    /// anew.
    pub life: i64,
    /// Counts from 1, so that a line that comes twice is known.
    pub n: u64,
    /// When it was said: monotonic, since the agent began, in microseconds.
    pub us: u64,
    #[serde(flatten)]
    pub said: Said,
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "said", content = "it")]
pub enum Said {
    /// Something happened.
    Event(EventKind),
    /// A step is done.
    Done(Box<Done>),
    /// A step cannot be done; nothing more will.
    Failed { step: Step, failure: Failure },
    /// Still there.
    Beat,
    /// Everything is done, well or not.
    End,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "step", content = "gave")]
pub enum Done {
    /// Without what lies in the file beside it.
    Capture {
        source: Option<SourceFacts>,
        point: Box<RecoveryPoint>,
        fence: Fence,
    },
    /// The engine holds still; more comes when it is let go.
    Hold(Box<Held>),
    LetGo {
        gone: LetGo,
        fence: Fence,
    },
    Find {
        point: Box<RecoveryPoint>,
        fence: Fence,
    },
    Fetch {
        fence: Fence,
    },
    Start,
    Restore {
        facts: RestoreFacts,
        checks: Vec<crate::domain::check::CheckResult>,
    },
    Serve,
    Spoil(Vec<String>),
    Verify(Verification),
}

impl Done {
    /// Which step of the run is done with it; none where it is a part of one.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::Capture { .. } | Self::Find { .. } => Some(Step::Capture),
            Self::Hold(_) | Self::LetGo { .. } | Self::Fetch { .. } => None,
            Self::Start => Some(Step::Start),
            Self::Restore { .. } => Some(Step::Restore),
            Self::Serve => Some(Step::Serve),
            Self::Spoil(_) => Some(Step::Spoil),
            Self::Verify(_) => Some(Step::Verify),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back() {
        for said in [
            Said::Beat,
            Said::End,
            Said::Event(EventKind::Note {
                message: "x".to_owned(),
            }),
            Said::Done(Box::new(Done::Serve)),
            Said::Done(Box::new(Done::Spoil(vec!["a".to_owned()]))),
        ] {
            let line = Line {
                life: 7,
                n: 1,
                us: 2,
                said,
            };
            let text = serde_json::to_string(&line).unwrap();
            assert!(!text.contains('\n'));
            assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line, "{text}");
        }
    }
}
