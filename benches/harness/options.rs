//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Runs in a long history, where nothing else is said.
const HISTORY: u32 = 1_000_000;

/// Measures Lifeboat beside what a user would do instead.
#[derive(Debug, Clone, Parser)]
#[command(name = "make bench")]
pub struct Options {
    /// Only these workloads
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub only: Vec<String>,
    /// Counted rounds, after one that warms up
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
    /// Size of the data sets; 1 is the size that the figures are about
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,
    /// Runs in a long history; there is room for ten million on 20 GB
    #[arg(long, default_value_t = HISTORY, value_name = "RUNS")]
    pub history: u32,
    /// How many seconds in all to wait for other work on this machine to end
    #[arg(long, default_value_t = 600)]
    pub patience: u64,
    /// Where the figures are kept
    #[arg(long, default_value = "target/bench.json", value_name = "FILE")]
    pub json: PathBuf,
    /// List the workloads
    #[arg(long)]
    pub list: bool,
    /// Given by `cargo bench`; without it everything is tiny
    #[arg(long, hide = true)]
    bench: bool,
    /// Whether this is only a test of the harness.
    #[arg(skip)]
    pub smoke: bool,
}

impl Options {
    /// Reads the command line. `None` where `cargo test` was asked for certain
    /// tests, of which this is none.
    pub fn from_command_line() -> Option<Self> {
        if std::env::args().any(|arg| arg == "--bench") {
            return Some(Self::parse());
        }
        if std::env::args().len() > 1 {
            return None;
        }
        Some(Self::smoke())
    }

    fn smoke() -> Self {
        Self {
            only: Vec::new(),
            runs: 1,
            scale: 0.001,
            history: HISTORY,
            patience: 0,
            json: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-smoke.json"),
            list: false,
            bench: false,
            smoke: true,
        }
    }

    /// `full` at this size, at least `least`.
    pub fn scaled(&self, full: u32, least: u32) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of rows"
        )]
        let rows = (f64::from(full) * self.scale).round() as u32;
        rows.max(least)
    }
}
