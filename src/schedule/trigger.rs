//! What makes a drill run by itself.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Calendar, Zone, jitter};

/// What makes a drill run by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Trigger {
    /// A time.
    Calendar(Calendar),
    /// A backup that was not there before. Its own time is the fire time: so it
    /// is drilled once, whoever sees it and however often.
    Backup(Looks),
}

/// How new backups are looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Looks {
    /// Time between two looks. A backup counts once two looks have found it the
    /// same: before, it may still be written.
    pub every: Duration,
    /// Whose clocks times are meant by.
    pub zone: Zone,
}

impl Looks {
    /// When to look first: drills that begin together are spread.
    #[must_use]
    pub fn first(&self, drill: &str, begin: Timestamp) -> Timestamp {
        begin + jitter::offset(drill, self.every)
    }
}

impl Trigger {
    /// The calendar, where it is one.
    #[must_use]
    pub fn calendar(&self) -> Option<&Calendar> {
        match self {
            Self::Calendar(calendar) => Some(calendar),
            Self::Backup(_) => None,
        }
    }

    /// How backups are looked for, where they are.
    #[must_use]
    pub fn looks(&self) -> Option<&Looks> {
        match self {
            Self::Calendar(_) => None,
            Self::Backup(looks) => Some(looks),
        }
    }

    /// Whose clocks times are meant by.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        match self {
            Self::Calendar(calendar) => &calendar.zone,
            Self::Backup(looks) => &looks.zone,
        }
    }
}

/// What changes when the schedule begins anew.
impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calendar(calendar) => calendar.fmt(f),
            Self::Backup(_) => f.write_str("after each backup"),
        }
    }
}
