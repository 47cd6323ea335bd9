//! Detection power: every planted fault is found and named, nothing else is,
//! and what a script with exit codes says of the same.

mod change;
mod fault;
mod faults;
mod page;
mod script;
mod world;

use std::path::Path;

use futures_util::{StreamExt, stream};
use lifeboat::domain::{
    check::{Outcome, Proof, Severity},
    record::RunRecord,
    verdict::Verdict,
};

use self::{
    fault::{Fault, Plant},
    faults::{GROUPS, HARMLESS},
    page::Row,
    world::{Told, World},
};
use crate::support::postgres::{BINARIES, Server};

/// How many drills run side by side.
const AT_ONCE: usize = 4;

/// One error that was told: the check or step that found it, and its words.
struct Said {
    by: String,
    text: String,
}

/// The checks that failed, or the step that did.
fn failed(record: &RunRecord) -> Vec<String> {
    let failing = record.checks.iter().filter(|c| c.outcome == Outcome::Fail);
    let mut all: Vec<String> = failing.map(|check| check.name.clone()).collect();
    let step = record.failure.as_ref();
    all.extend(step.map(|failed| format!("step {}", failed.step)));
    all.sort();
    all
}

/// Every error that was told.
fn errors(record: &RunRecord) -> Vec<Said> {
    let mut all = Vec::new();
    for check in &record.checks {
        let errors = check.findings.iter();
        for finding in errors.filter(|finding| finding.severity == Severity::Error) {
            all.push(Said {
                by: check.name.clone(),
                text: format!("{} {}", finding.subject, finding.message),
            });
        }
    }
    let failure = record.failure.as_ref();
    all.extend(failure.map(|failed| Said {
        by: format!("step {}", failed.step),
        text: failed.failure.message.clone(),
    }));
    all
}

/// Whether the backup is blamed for what came to the copy after it was loaded.
fn backup_is_blamed(fault: &Fault, said: &[Said]) -> bool {
    let later = matches!(fault.plant, Plant::Sql(_) | Plant::File(..));
    later
        && said
            .iter()
            .any(|s| s.text.contains("before they were loaded"))
}

/// What is wrong with what was told of a fault; `None` if nothing is.
fn objection(fault: &Fault, told: &Told) -> Option<String> {
    let record = &told.record;
    let (found_by, said) = (failed(record), errors(record));
    let named = |name: &str| said.iter().any(|said| said.text.contains(name));
    let unnamed: Vec<_> = fault.names.iter().filter(|name| !named(name)).collect();
    let verdict = match fault.found_by {
        [] => Verdict::Passed,
        _ => Verdict::Failed,
    };
    let proof = match fault.plant {
        Plant::Existing(..) | Plant::ExistingAlone(..) => too_much_proof(record),
        _ => told.existing.as_ref().and_then(too_much_proof),
    };
    if record.verdict == Some(verdict)
        && found_by == fault.found_by
        && unnamed.is_empty()
        && !backup_is_blamed(fault, &said)
        && proof.is_none()
    {
        return None;
    }
    let said: Vec<_> = said
        .iter()
        .map(|s| format!("\n  {}: {}", s.by, s.text))
        .collect();
    Some(format!(
        "{}: {:?} by {found_by:?}, expected {:?}, not named {unnamed:?}, proof {proof:?}{}",
        fault.name,
        record.verdict,
        fault.found_by,
        said.concat()
    ))
}

/// Without a fingerprint of the source equality cannot be claimed.
fn too_much_proof(record: &RunRecord) -> Option<Proof> {
    Some(record.proof).filter(|proof| *proof <= Proof::Canary)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_planted_fault_is_found_and_named_and_nothing_else_is() {
    let world = World::new(Server::start(Path::new(BINARIES), &[])).await;
    let control = world.clean().await.record;
    assert_eq!(
        control.verdict,
        Some(Verdict::Passed),
        "{:?}",
        control.reasons
    );
    assert_eq!(control.proof, Proof::Exact);

    let harmless = HARMLESS.iter().map(|fault| (None, fault, true));
    let planted = GROUPS.iter().flat_map(|group| {
        let faults = group.faults.iter();
        faults.map(|fault| (Some(group.title), fault, group.deep))
    });
    let rows: Vec<Row> = stream::iter(planted.chain(harmless))
        .map(async |(group, fault, deep)| Row {
            group,
            fault,
            told: world.plant(fault, deep).await,
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let wrong: Vec<_> = rows
        .iter()
        .filter_map(|row| objection(row.fault, &row.told))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    page::check(&page::render(&rows));
}
