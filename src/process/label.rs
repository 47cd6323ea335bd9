//! Finding the processes of a run, and ending them.
//!
//! A process belongs to a run if its environment carries the run's label, or
//! if it works inside the run's directory. The second is needed because
//! `PostgreSQL` overwrites its environment with its process title; its
//! postmaster's working directory is the data directory, and every backend
//! inherits it.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};

use super::LABEL_VARIABLE;
use crate::domain::{
    failure::{Failure, FailureKind},
    ids::RunId,
};

/// How often a process that should end is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long the kernel may take to end what was killed.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// A process, told apart from a later one with the same pid by its start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub pid: i32,
    /// Clock ticks after boot; field 22 of `/proc/PID/stat`.
    pub started: u64,
    pub name: String,
}

/// What `/proc/PID/stat` says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    name: String,
    state: char,
    parent: i32,
    started: u64,
}

/// The living processes of `run`: labelled, or at work inside `directory`.
/// Never this process nor one it descends from.
#[must_use]
pub fn find(run: RunId, directory: &Path) -> Vec<Process> {
    let label = format!("{LABEL_VARIABLE}={run}");
    let kin = own_line();
    let users = users_of(directory);
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let is_marked = |pid| is_labelled(pid, &label) || works_in(pid, directory, &users);
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| !kin.contains(pid))
        // Nearly all processes are strangers, told by their marks alone.
        .filter(|pid| is_marked(*pid))
        .filter_map(|pid| {
            // Read before the marks are seen once more: if the pid changes
            // hands in between, the start that is written down is the old
            // one's and never signalled.
            let stat = stat(pid)?;
            (stat.state != 'Z' && is_marked(pid)).then_some(Process {
                pid,
                started: stat.started,
                name: stat.name,
            })
        })
        .collect()
}

/// Ends every process of `run`: asks first, kills after `grace`, and goes on
/// until no new one appears.
///
/// # Errors
/// `Conflict` naming the processes that are still there in the end.
pub async fn end_all(run: RunId, directory: &Path, grace: Duration) -> Result<(), Failure> {
    let mut asked = BTreeSet::new();
    let mut waited = Duration::ZERO;
    loop {
        let left = find(run, directory);
        if left.is_empty() {
            return Ok(());
        }
        if waited >= grace + AFTER_KILL {
            return Err(immortal(&left));
        }
        for process in left {
            if waited >= grace {
                signal(&process, Signal::SIGKILL)?;
            } else if asked.insert((process.pid, process.started)) {
                signal(&process, polite(&process.name))?;
            }
        }
        tokio::time::sleep(LOOK).await;
        waited += LOOK;
    }
}

/// `PostgreSQL` takes SIGQUIT as "immediate shutdown", and would wait for its
/// clients after SIGTERM.
fn polite(name: &str) -> Signal {
    match name {
        "postgres" | "postmaster" => Signal::SIGQUIT,
        _ => Signal::SIGTERM,
    }
}

/// Signals a process if it is still the same one.
fn signal(process: &Process, signal: Signal) -> Result<(), Failure> {
    // Between this look and the signal the pid could in theory be given to
    // another process; pids are handed out in a circle, so that would take a
    // whole round of it within microseconds.
    if stat(process.pid).is_none_or(|now| now.started != process.started) {
        return Ok(());
    }
    match kill(Pid::from_raw(process.pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(error) => Err(Failure::new(
            FailureKind::Denied,
            format!(
                "cannot end process {} ({}): {error}",
                process.pid, process.name
            ),
        )),
    }
}

fn immortal(left: &[Process]) -> Failure {
    let names: Vec<_> = left
        .iter()
        .map(|process| {
            let state = stat(process.pid).map_or('?', |stat| stat.state);
            format!("{} ({}, state {state})", process.pid, process.name)
        })
        .collect();
    Failure::new(
        FailureKind::Conflict,
        format!("processes do not end: {}", names.join(", ")),
    )
    .hint("a process in state D waits for a disk or a network file system")
}

/// When a process started, in clock ticks since boot; `None` if there is none
/// or it is a zombie.
#[must_use]
pub(super) fn start_ticks(pid: u32) -> Option<u64> {
    let stat = stat(i32::try_from(pid).ok()?)?;
    (stat.state != 'Z').then_some(stat.started)
}

/// This process and all it descends from.
fn own_line() -> BTreeSet<i32> {
    let mut line = BTreeSet::new();
    let mut pid = Pid::this().as_raw();
    while pid > 0 && line.insert(pid) {
        pid = stat(pid).map_or(0, |stat| stat.parent);
    }
    line
}

/// Whose processes may be ended for working in `directory`: this user's, and
/// those of whom the directory belongs to.
fn users_of(directory: &Path) -> Vec<u32> {
    let mut users = vec![geteuid().as_raw()];
    users.extend(fs::symlink_metadata(directory).map(|data| data.uid()));
    users
}

fn is_labelled(pid: i32, label: &str) -> bool {
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
        environ
            .split(|byte| *byte == 0)
            .any(|one| one == label.as_bytes())
    })
}

fn works_in(pid: i32, directory: &Path, users: &[u32]) -> bool {
    let place: PathBuf = format!("/proc/{pid}").into();
    fs::read_link(place.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory))
        && fs::metadata(&place).is_ok_and(|data| users.contains(&data.uid()))
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&String::from_utf8_lossy(
        &fs::read(format!("/proc/{pid}/stat")).ok()?,
    ))
}

/// Reads a line of proc(5)'s `stat`. The name is in parentheses and may hold
/// spaces and parentheses itself.
fn parse_stat(text: &str) -> Option<Stat> {
    let (head, tail) = text.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_whitespace().collect();
    Some(Stat {
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse_the_fields() {
        let text = "7 (a) b (c) S 5 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0";
        assert_eq!(
            parse_stat(text),
            Some(Stat {
                name: "a) b (c".to_owned(),
                state: 'S',
                parent: 5,
                started: 4242
            })
        );
    }

    #[test]
    fn this_process_and_its_parents_are_spared() {
        let line = own_line();
        assert!(line.contains(&Pid::this().as_raw()));
        assert!(line.contains(&Pid::parent().as_raw()));
    }
}
