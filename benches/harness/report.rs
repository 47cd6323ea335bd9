//! All figures of one run of the harness.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde::Serialize;

use super::{
    Options,
    compare::Comparison,
    machine::{self, Machine},
};

/// As it is written down.
#[derive(Debug, Serialize)]
pub struct Report {
    schema: &'static str,
    pub taken_at: String,
    pub machine: Machine,
    pub runs: usize,
    pub scale: f64,
    pub load_before: String,
    load_after: String,
    /// The workload that is going on.
    #[serde(skip)]
    pub workload: String,
    pub comparisons: Vec<Comparison>,
    pub figures: Vec<Figure>,
    pub goals: Vec<Goal>,
    pub left_out: Vec<String>,
}

/// A number that nothing is compared with.
#[derive(Debug, Serialize)]
pub struct Figure {
    workload: String,
    pub what: String,
    pub value: f64,
    pub unit: &'static str,
}

/// A figure and its goal.
#[derive(Debug, Serialize)]
pub struct Goal {
    workload: String,
    pub what: String,
    pub measured: f64,
    pub limit: Limit,
    pub met: bool,
}

/// Where a goal lies.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Report {
    pub fn new(options: &Options) -> Self {
        Self {
            schema: "lifeboat.dev/bench/v1",
            taken_at: jiff::Timestamp::now().to_string(),
            machine: Machine::here(),
            runs: options.runs,
            scale: options.scale,
            load_before: machine::load(),
            load_after: String::new(),
            workload: String::new(),
            comparisons: Vec::new(),
            figures: Vec::new(),
            goals: Vec::new(),
            left_out: Vec::new(),
        }
    }

    pub fn goal(&mut self, what: &str, measured: f64, limit: Limit) -> &Goal {
        let met = match limit {
            Limit::AtMost(most) => measured <= most,
            Limit::AtLeast(least) => measured >= least,
        };
        let goal = Goal {
            workload: self.workload.clone(),
            what: what.to_owned(),
            measured,
            limit,
            met,
        };
        push(&mut self.goals, goal)
    }

    pub fn figure(&mut self, what: &str, value: f64, unit: &'static str) -> &Figure {
        let figure = Figure {
            workload: self.workload.clone(),
            what: what.to_owned(),
            value,
            unit,
        };
        push(&mut self.figures, figure)
    }

    pub fn finish(&mut self) {
        self.load_after = machine::load();
    }

    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, serde_json::to_string_pretty(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

fn push<T>(list: &mut Vec<T>, item: T) -> &T {
    list.push(item);
    &list[list.len() - 1]
}
