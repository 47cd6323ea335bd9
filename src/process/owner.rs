//! Which process works on a run, and whether it still lives.

use std::{fs, path::Path};

use super::label::start_ticks;
use crate::domain::failure::{Failure, FailureKind};

/// Names a process for good: pids are used again, start times are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub host: String,
    pub boot: String,
    pub pid: u32,
    pub start_ticks: u64,
}

impl Identity {
    /// The calling process.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn current() -> Result<Self, Failure> {
        let pid = std::process::id();
        Ok(Self {
            host: read("/proc/sys/kernel/hostname")?,
            boot: read("/proc/sys/kernel/random/boot_id")?,
            pid,
            start_ticks: start_ticks(pid).ok_or_else(|| unreadable("/proc/self/stat"))?,
        })
    }

    /// Whether the process is gone for certain. One on another host can't be
    /// judged, so it counts as alive.
    #[must_use]
    pub fn is_gone(&self, here: &Self) -> bool {
        if self.host != here.host {
            return false;
        }
        self.boot != here.boot || start_ticks(self.pid) != Some(self.start_ticks)
    }
}

fn read(path: &str) -> Result<String, Failure> {
    fs::read_to_string(Path::new(path))
        .map(|text| text.trim().to_owned())
        .map_err(|_| unreadable(path))
}

fn unreadable(path: &str) -> Failure {
    Failure::new(FailureKind::Internal, format!("cannot read {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_a_later_one_with_its_pid() {
        let here = Identity::current().unwrap();
        assert!(!here.is_gone(&here));
        let earlier = Identity {
            start_ticks: here.start_ticks - 1,
            ..here.clone()
        };
        assert!(earlier.is_gone(&here));
        let rebooted = Identity {
            boot: "other".to_owned(),
            ..here.clone()
        };
        assert!(rebooted.is_gone(&here));
        let elsewhere = Identity {
            host: "other".to_owned(),
            ..earlier
        };
        assert!(!elsewhere.is_gone(&here));
    }
}
