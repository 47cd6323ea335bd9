//! What is measured.

mod api;
mod capture;
mod drill;
mod fingerprint;
mod history;
mod idle;
mod kubernetes;
mod memory;
mod proof;
mod schedule;
mod shared;
mod sqlite;
mod startup;

use anyhow::bail;

use crate::harness::Bench;

/// One subject.
pub struct Workload {
    pub name: &'static str,
    pub about: &'static str,
    pub run: fn(&mut Bench) -> anyhow::Result<()>,
}

/// All, in the order in which they run.
const ALL: [Workload; 13] = [
    startup::WORKLOAD,
    sqlite::WORKLOAD,
    drill::WORKLOAD,
    capture::WORKLOAD,
    fingerprint::WORKLOAD,
    proof::WORKLOAD,
    memory::WORKLOAD,
    kubernetes::WORKLOAD,
    history::WORKLOAD,
    shared::WORKLOAD,
    idle::WORKLOAD,
    schedule::WORKLOAD,
    api::WORKLOAD,
];

/// Those of these names; all where there are none.
pub fn chosen(names: &[String]) -> anyhow::Result<Vec<Workload>> {
    for name in names {
        if !ALL.iter().any(|workload| workload.name == name) {
            let known: Vec<_> = ALL.iter().map(|workload| workload.name).collect();
            bail!("no workload {name}; there are {}", known.join(", "));
        }
    }
    let wanted = |workload: &Workload| names.is_empty() || names.iter().any(|n| n == workload.name);
    Ok(ALL.into_iter().filter(wanted).collect())
}
