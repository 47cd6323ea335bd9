//! What the exit status says.

use std::process::ExitCode;

use crate::domain::{
    record::RunRecord,
    verdict::{Cleanup, Verdict},
};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: done; for a run: passed.
    Ok = 0,
    /// 1: the drill failed: wrong data, or an objective missed.
    Failed = 1,
    /// 2: wrong command line or drill file; nothing was done.
    Usage = 2,
    /// 3: the machinery could not finish; nothing is known about the backup.
    Inconclusive = 3,
    /// 4: something could not be removed, whatever the verdict.
    Leaked = 4,
}

impl Exit {
    /// What a run's record comes to.
    #[must_use]
    pub fn of(record: &RunRecord) -> Self {
        if record.cleanup != Cleanup::Clean {
            return Self::Leaked;
        }
        match record.verdict {
            Some(Verdict::Passed) => Self::Ok,
            Some(Verdict::Failed) => Self::Failed,
            Some(Verdict::Inconclusive) | None => Self::Inconclusive,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
