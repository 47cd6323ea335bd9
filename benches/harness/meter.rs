//! Time on the clock and time on the processors.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    sys::{
        resource::{Usage, UsageWho, getrusage},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{SysconfVar, sysconf},
};
use serde::Serialize;

/// What one run of a contender took.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    pub wall_s: f64,
    /// Of this process, its ended children and the servers.
    pub cpu_s: f64,
}

/// Measures `work`, with the processor time of the `servers` named by the pids
/// of their postmasters.
pub fn measure(
    servers: &[i32],
    work: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Sample> {
    let before = Cpu::now(servers)?;
    let begun = Instant::now();
    work()?;
    let wall = begun.elapsed();
    let cpu = Cpu::now(servers)?.0.saturating_sub(before.0);
    Ok(Sample {
        wall_s: wall.as_secs_f64(),
        cpu_s: cpu.as_secs_f64(),
    })
}

/// Processor time up to now.
#[derive(Debug, Clone, Copy)]
pub struct Cpu(pub Duration);

impl Cpu {
    /// Of this process, of all its children that have ended, and of servers.
    pub fn now(servers: &[i32]) -> anyhow::Result<Self> {
        reap();
        let own = [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN]
            .into_iter()
            .map(|who| Ok(total(getrusage(who)?)))
            .sum::<anyhow::Result<Duration>>()?;
        let servers: Duration = servers.iter().map(|pid| of_server(*pid)).sum();
        Ok(Self(own + servers))
    }
}

/// Takes in what ended: this process is the parent of all orphans of its
/// children (see [`super::abort::on_signal`]), a scratch server among them.
fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
    }
}

fn total(usage: Usage) -> Duration {
    let micros = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec()).unwrap_or_default() * 1_000_000
            + u64::try_from(time.tv_usec()).unwrap_or_default()
    };
    Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
}

/// Of a postmaster, of the backends that it took in, and of the living ones.
fn of_server(postmaster: i32) -> Duration {
    loop {
        let ended = ended_children(postmaster);
        let living: Duration = std::iter::once(postmaster)
            .chain(children(postmaster))
            .map(on_processor)
            .sum();
        // A backend that ended in between would count twice, or not at all.
        if ended == ended_children(postmaster) {
            return ended + living;
        }
    }
}

/// The processes whose parent is `pid`.
pub fn children(pid: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|child| stat_field(*child, 4) == Some(u64::try_from(pid).unwrap_or_default()))
        .collect()
}

/// To the nanosecond, where `stat` counts ticks.
fn on_processor(pid: i32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanos.unwrap_or_default())
}

fn ended_children(pid: i32) -> Duration {
    let ticks = [16, 17].map(|field| stat_field(pid, field).unwrap_or_default());
    ticks_to_time(ticks.iter().sum())
}

/// A numeric field of proc(5)'s `stat`, counted from 1 as there.
fn stat_field(pid: i32, field: usize) -> Option<u64> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    // The second field is in parentheses and may hold anything.
    let (_, tail) = text.rsplit_once(')')?;
    tail.split_whitespace().nth(field - 3)?.parse().ok()
}

fn ticks_to_time(ticks: u64) -> Duration {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    Duration::from_millis(ticks * 1000 / u64::try_from(per_second).unwrap_or(100))
}

/// How busy the whole machine was up to now, over all processors.
pub fn machine_busy() -> anyhow::Result<Duration> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .collect();
    // user, nice, system, then idle and iowait, then irq, softirq and steal.
    let busy = fields.iter().take(3).chain(fields.iter().skip(5).take(3));
    Ok(ticks_to_time(busy.sum()))
}

/// The most memory a process has had, of `VmHWM` in proc(5)'s `status`; `None`
/// once it has ended.
pub fn peak_memory(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmHWM:")
}

/// The memory of a process.
pub fn resident_memory(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmRSS:")
}

/// What all threads of a process have had of the processors.
pub fn cpu_of(pid: u32) -> Duration {
    threads(pid).into_iter().map(on_processor).sum()
}

/// How often the threads of a process have gone to sleep, and so how often they were
/// woken.
pub fn sleeps_of(pid: u32) -> u64 {
    let of = |thread| status(thread, "voluntary_ctxt_switches:");
    threads(pid).into_iter().filter_map(of).sum()
}

fn threads(pid: u32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let tasks = tasks.filter_map(|task| task.file_name().to_str()?.parse().ok());
    tasks.collect()
}

/// The memory of a process that no file stands behind.
pub fn anonymous_memory(pid: u32) -> Option<u64> {
    status_bytes(pid, "RssAnon:")
}

fn status_bytes(pid: u32, name: &str) -> Option<u64> {
    Some(status(pid, name)? * 1024)
}

/// A number that the system tells of a process or thread.
fn status(pid: impl std::fmt::Display, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
