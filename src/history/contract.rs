//! What every history must do: the same tests for every store.

mod agenda;
mod files;
mod known;
mod lists;
mod outbox;
mod processes;
mod requests;
mod tallies;

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

use jiff::Timestamp;

use super::History;
use crate::{
    domain::{
        budget::Demand,
        ids::RunId,
        journal::Entry,
        record::RunRecord,
        resource::{ClusterRef, Resource},
        step::{Acquired, Step},
        verdict::Verdict,
    },
    runner::store::{Claim, Gone, Owner, StoreError, Write},
};

/// Runs the whole suite on an empty history.
///
/// # Errors
/// With the first promise that is not kept.
pub async fn suite(history: &dyn History) -> Result<(), String> {
    a_drill_runs_once_at_a_time(history).await?;
    what_is_written_is_read_again(history).await?;
    a_lost_claim_writes_nothing(history).await?;
    a_write_is_all_or_nothing(history).await?;
    lists::suite(history).await?;
    roots_are_remembered_once(history).await?;
    clusters_are_remembered_once(history).await?;
    agenda::suite(history).await?;
    known::suite(history).await?;
    files::suite(history).await?;
    processes::suite(history).await?;
    requests::suite(history).await?;
    outbox::suite(history).await?;
    tallies::suite(history).await
}

fn owner(pid: u32) -> Owner {
    Owner {
        host: "here".to_owned(),
        boot: "b".to_owned(),
        pid,
        start_ticks: 7,
        service: false,
    }
}

/// Begins a run that needs no room.
async fn begin(
    history: &dyn History,
    record: &RunRecord,
    owner: &Owner,
) -> Result<Claim, StoreError> {
    let demand = Demand::unlimited(Vec::new());
    history.begin(record, owner, &demand).await
}

/// A record of a run that has just been requested.
fn requested(drill: &str, second: i64) -> Result<RunRecord, String> {
    let at = Timestamp::from_second(1_800_000_000 + second).map_err(|error| error.to_string())?;
    Ok(RunRecord::requested(RunId::new(at), drill, "sqlite", at))
}

async fn conclude(
    history: &dyn History,
    claim: &Claim,
    record: &mut RunRecord,
) -> Result<(), StoreError> {
    conclude_as(history, claim, record, Verdict::Passed).await
}

async fn conclude_as(
    history: &dyn History,
    claim: &Claim,
    record: &mut RunRecord,
    verdict: Verdict,
) -> Result<(), StoreError> {
    record.verdict = Some(verdict);
    record.finished_at = Some(record.requested_at);
    let entry = Entry::Concluded { verdict };
    let writes = [
        Write::Entry(&entry),
        Write::Entry(&Entry::Finished),
        Write::Record(record),
    ];
    history.write(claim, record.requested_at, &writes).await
}

async fn a_drill_runs_once_at_a_time(history: &dyn History) -> Result<(), String> {
    let mut first = requested("once", 1)?;
    let claim = begin(history, &first, &owner(1)).await.map_err(text)?;
    let second = requested("once", 2)?;
    match begin(history, &second, &owner(2)).await {
        Err(StoreError::Busy {
            run, owner: busy, ..
        }) => {
            require(run == first.id && busy == owner(1), "names the wrong run")?;
        }
        other => return Err(format!("a second run of the drill began: {other:?}")),
    }
    conclude(history, &claim, &mut first).await.map_err(text)?;
    let claim = begin(history, &second, &owner(2)).await.map_err(text)?;
    let mut second = second;
    conclude(history, &claim, &mut second).await.map_err(text)
}

async fn what_is_written_is_read_again(history: &dyn History) -> Result<(), String> {
    let mut record = requested("written", 10)?;
    let claim = begin(history, &record, &owner(1)).await.map_err(text)?;
    let step = Step::Capture;
    let started = Entry::StepStarted { step };
    let done = Entry::StepDone {
        step,
        summary: "ü \"quoted\"".to_owned(),
        copy: None,
    };
    let resource = Resource::Directory {
        path: "/scratch/ü".into(),
    };
    let writes = [
        Write::Entry(&started),
        Write::Intend(Acquired::RecoveryPoint, &resource),
    ];
    history
        .write(&claim, record.requested_at, &writes)
        .await
        .map_err(text)?;
    record.notes.push("noted".to_owned());
    let writes = [Write::Entry(&done), Write::Record(&record)];
    history
        .write(&claim, record.requested_at, &writes)
        .await
        .map_err(text)?;

    let unfinished = history.unfinished().await.map_err(text)?;
    let [run] = unfinished.as_slice() else {
        return Err(format!("one run is unfinished, found {}", unfinished.len()));
    };
    require(run.record == record, "the record differs")?;
    require(run.journal == [started, done], "the journal differs")?;
    require(
        run.ledger == [(Acquired::RecoveryPoint, resource)],
        "the ledger differs",
    )?;

    let strike = [Write::Strike(Acquired::RecoveryPoint)];
    history
        .write(&claim, record.requested_at, &strike)
        .await
        .map_err(text)?;
    let unfinished = history.unfinished().await.map_err(text)?;
    require(
        unfinished.iter().all(|run| run.ledger.is_empty()),
        "a struck resource is listed",
    )?;
    conclude(history, &claim, &mut record).await.map_err(text)?;
    let unfinished = history.unfinished().await.map_err(text)?;
    require(unfinished.is_empty(), "a finished run counts as unfinished")
}

async fn a_lost_claim_writes_nothing(history: &dyn History) -> Result<(), String> {
    let mut record = requested("claimed", 20)?;
    let old = begin(history, &record, &owner(1)).await.map_err(text)?;
    // Whoever is to be taken over writes until the very last moment.
    let listed = history.unfinished().await.map_err(text)?;
    record
        .notes
        .push("written after the list was read".to_owned());
    let resource = Resource::Directory {
        path: "/tmp/of-a-lost-claim".into(),
    };
    let begun = Entry::StepStarted { step: Step::Start };
    let writes = [
        Write::Entry(&begun),
        Write::Intend(Acquired::Sandbox, &resource),
        Write::Record(&record),
    ];
    let written = history.write(&old, record.requested_at, &writes).await;
    written.map_err(text)?;
    let new = history
        .take_over(record.id, listed[0].epoch, &owner(2), Gone::Seen)
        .await
        .map_err(text)?;
    let new = new.ok_or("a takeover was refused")?;
    require(new.record == record, "an older record was taken over")?;
    require(new.journal == [begun], "an older journal was taken over")?;
    require(
        new.ledger == [(Acquired::Sandbox, resource)],
        "an older ledger was taken over",
    )?;
    let new = new.claim;
    let open = history.open().await.map_err(text)?;
    require(open == [record.id], "what goes on is not listed")?;
    let again = history
        .take_over(record.id, old.epoch, &owner(3), Gone::Seen)
        .await
        .map_err(text)?;
    require(again.is_none(), "two took the same run over")?;
    let entry = Entry::Interrupted;
    let late = history
        .write(&old, record.requested_at, &[Write::Entry(&entry)])
        .await;
    require(
        matches!(late, Err(StoreError::ClaimLost { .. })),
        "a lost claim could write",
    )?;
    let unfinished = history.unfinished().await.map_err(text)?;
    require(
        unfinished.iter().all(|run| run.journal.len() == 1),
        "a lost claim wrote",
    )?;
    require(
        unfinished.iter().all(|run| run.owner == owner(2)),
        "the owner is still the old one",
    )?;
    conclude(history, &new, &mut record).await.map_err(text)
}

async fn a_write_is_all_or_nothing(history: &dyn History) -> Result<(), String> {
    let mut record = requested("atomic", 30)?;
    let claim = begin(history, &record, &owner(1)).await.map_err(text)?;
    let stale = Claim {
        epoch: claim.epoch + 1,
        ..claim.clone()
    };
    let started = Entry::StepStarted {
        step: Step::Inspect,
    };
    let mut changed = record.clone();
    changed.notes.push("must not be seen".to_owned());
    let writes = [Write::Entry(&started), Write::Record(&changed)];
    let refused = history.write(&stale, record.requested_at, &writes).await;
    require(refused.is_err(), "a wrong claim could write")?;
    let unfinished = history.unfinished().await.map_err(text)?;
    require(
        unfinished
            .iter()
            .all(|run| run.journal.is_empty() && run.record == record),
        "a refused write left something behind",
    )?;
    conclude(history, &claim, &mut record).await.map_err(text)
}

fn require(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}

fn text(error: StoreError) -> String {
    format!("{error}: {error:?}")
}

async fn roots_are_remembered_once(history: &dyn History) -> Result<(), String> {
    // A path need not be a text.
    let odd = OsStr::from_bytes(b"/scratch/\xff").into();
    let roots: [PathBuf; 2] = ["/scratch/a".into(), odd];
    for root in roots.iter().chain(&roots) {
        let at = Timestamp::UNIX_EPOCH;
        history.remember_root(root, at).await.map_err(text)?;
    }
    let found = history.roots().await.map_err(text)?;
    require(found == roots, "the roots are others than remembered")
}

async fn clusters_are_remembered_once(history: &dyn History) -> Result<(), String> {
    let second = ClusterRef {
        kubeconfig: Some("/etc/second.kubeconfig".into()),
        context: Some("second".to_owned()),
    };
    let clusters = [second, ClusterRef::default()];
    for cluster in clusters.iter().chain(&clusters) {
        let at = Timestamp::UNIX_EPOCH;
        history.remember_cluster(cluster, at).await.map_err(text)?;
    }
    let mut found = history.clusters().await.map_err(text)?;
    found.sort_by_key(|cluster| cluster.context.is_none());
    require(found == clusters, "the clusters are others than remembered")
}
