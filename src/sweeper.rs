//! Removes what no live run owns: the runs of dead processes are brought to
//! their end, and directories that wear our label without a run are released.

use std::sync::Arc;

use crate::{
    domain::{
        event::Listener, failure::Failure, record::RunRecord, resource::Resource, verdict::Leak,
    },
    runner::{
        execute::Runner,
        store::{Gone, StoreError, Unfinished},
    },
    sandbox::{Found, Sandbox},
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
    /// Places that could not be looked at.
    pub unseen: Vec<Failure>,
}

impl Swept {
    /// What is still there and belongs to no run that is known.
    pub fn nobodys(&self) -> impl Iterator<Item = &Leak> {
        let of_run = |leak: &Leak| {
            let mut runs = self.runs.iter();
            runs.any(|run| run.cleanup.leaks().contains(leak))
        };
        self.leaks.iter().filter(move |leak| !of_run(leak))
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "runs": self.runs.iter().map(|run| run.id).collect::<Vec<_>>(),
            "removed": self.removed,
            "leaks": self.leaks,
            "unseen": self.unseen,
        })
    }
}

/// Sweeps once, in all of `places`.
///
/// What wears a label is listed *before* the unfinished runs are: a run that
/// begins in between is then either not in the first list or in the second.
/// The other way round, its directory would look like nobody's.
///
/// # Errors
/// If the history can't be read or written.
pub async fn sweep(
    runner: &Runner,
    places: &[Arc<dyn Sandbox>],
    is_gone: impl Fn(&Unfinished) -> Option<Gone>,
    listeners: &[Arc<dyn Listener>],
) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    let mut found = Vec::new();
    for place in places {
        match place.find().await {
            Ok(there) => found.extend(there.into_iter().map(|there| (place, there))),
            Err(failure) => swept.unseen.push(failure),
        }
    }
    swept.runs = runner.recover(is_gone, listeners).await?;
    let mut known = runner.store.open().await?;
    for record in &swept.runs {
        swept.leaks.extend(record.cleanup.leaks().iter().cloned());
    }
    // What belonged to a run that was taken over is told with that run.
    known.extend(swept.runs.iter().map(|record| record.id));
    for (place, found) in found {
        if !found.in_use && !known.contains(&found.run) {
            release(&**place, found, &mut swept).await;
        }
    }
    Ok(swept)
}

async fn release(sandbox: &dyn Sandbox, found: Found, swept: &mut Swept) {
    match sandbox.release(found.run, &found.resource).await {
        Ok(()) => swept.removed.push(found.resource),
        Err(failure) => swept.leaks.push(Leak {
            resource: found.resource,
            reason: failure.message,
        }),
    }
}
