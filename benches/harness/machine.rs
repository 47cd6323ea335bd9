//! What the figures were taken on.

use std::{fs, time::Duration};

use serde::Serialize;

use super::{server::BINARIES, shell};

/// The kind of machine, and what ran on it.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub processors: usize,
    pub processor: String,
    pub memory_mib: u64,
    pub kernel: String,
    pub lifeboat: String,
    pub postgresql: String,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let version = |program: &str| {
            shell::output(std::process::Command::new(program).arg("--version"))
                .map_or_else(|error| format!("{error:#}"), |text| text.trim().to_owned())
        };
        Self {
            processors: processors(),
            processor: line_of("/proc/cpuinfo", "model name"),
            memory_mib: line_of("/proc/meminfo", "MemTotal")
                .split_whitespace()
                .next()
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or_default()
                / 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            lifeboat: version(env!("CARGO_BIN_EXE_lifeboat")),
            postgresql: version(&format!("{BINARIES}/postgres")),
        }
    }
}

/// How many there are.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The share of the whole machine that is `busy` of `wall`.
pub fn share(busy: Duration, wall: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "few processors")]
    let processors = processors() as f64;
    busy.as_secs_f64() / wall.as_secs_f64() / processors
}

/// The load averages.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn line_of(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_once(':'));
    value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
}
