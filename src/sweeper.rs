//! Removes what no live run owns: the runs of dead processes are brought to
//! their end, and directories that wear our label without a run are released.

use std::sync::Arc;

use crate::{
    domain::{
        event::Listener,
        failure::Failure,
        record::RunRecord,
        resource::Resource,
        verdict::{Cleanup, Leak},
    },
    runner::{
        execute::Runner,
        store::{Owner, StoreError},
    },
    sandbox::Sandbox,
};

/// What a sweep did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Runs that were taken over, as they stand now.
    pub runs: Vec<RunRecord>,
    /// Resources without a run that were removed.
    pub removed: Vec<Resource>,
    /// What is still there, and why.
    pub leaks: Vec<Leak>,
}

/// Why a sweep could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    #[error("the history could not be used")]
    Store(#[from] StoreError),
    #[error("the scratch place could not be looked at")]
    Look(#[source] Failure),
}

/// Sweeps once.
///
/// What wears a label is listed *before* the unfinished runs are: a run that
/// begins in between is then either not in the first list or in the second.
/// The other way round, its directory would look like nobody's.
///
/// # Errors
/// If history or scratch place cannot be read.
pub async fn sweep(
    runner: &Runner,
    is_gone: impl Fn(&Owner) -> bool,
    listeners: &[Arc<dyn Listener>],
) -> Result<Swept, SweepError> {
    let found = runner.sandbox.find().await.map_err(SweepError::Look)?;
    let runs = runner.recover(is_gone, listeners).await?;
    let live = runner.store.unfinished().await?;
    let mut swept = Swept {
        runs,
        ..Swept::default()
    };
    for record in &swept.runs {
        if let Cleanup::Leaked { resources } = &record.cleanup {
            swept.leaks.extend(resources.iter().cloned());
        }
    }
    for found in found {
        if found.in_use || live.iter().any(|run| run.record.id == found.run) {
            continue;
        }
        release(&*runner.sandbox, found, &mut swept).await;
    }
    Ok(swept)
}

async fn release(sandbox: &dyn Sandbox, found: crate::sandbox::Found, swept: &mut Swept) {
    match sandbox.release(found.run, &found.resource).await {
        Ok(()) => swept.removed.push(found.resource),
        Err(failure) => swept.leaks.push(Leak {
            resource: found.resource,
            reason: failure.message,
        }),
    }
}
