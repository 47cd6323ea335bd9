//! Giving back what a run acquired: by the ledger alone, so that it works the
//! same for a run of this process and for one of a process that died.

use crate::{
    domain::{failure::Failure, ids::RunId, resource::Resource, step::Acquired, verdict::Leak},
    sandbox::Sandbox,
};

/// What the ledger says was about to be made.
pub type Ledger = Vec<(Acquired, Resource)>;

/// Something could not be given back.
#[derive(Debug)]
pub struct Unreleased {
    /// What kept the first of it.
    pub failure: Failure,
    /// What is left, with what kept each.
    pub left: Vec<Leak>,
}

impl From<Failure> for Unreleased {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            left: Vec::new(),
        }
    }
}

/// Gives `acquired` back. What the ledger does not know was never made.
///
/// # Errors
/// With what is still there, and why.
pub async fn release(
    sandbox: &dyn Sandbox,
    run: RunId,
    ledger: &Ledger,
    acquired: Acquired,
) -> Result<(), Unreleased> {
    let of = |wanted: Acquired| {
        let lines = ledger
            .iter()
            .filter(move |(acquired, _)| *acquired == wanted);
        lines.map(|(_, resource)| resource)
    };
    match acquired {
        // An instance is the processes that work in the sandbox.
        Acquired::Instance => {
            for resource in of(Acquired::Sandbox) {
                sandbox.stop(run, resource).await?;
            }
        }
        Acquired::Sandbox | Acquired::RecoveryPoint => {
            let mut first = None;
            let mut left = Vec::new();
            // What cannot be released does not keep the rest. Where the recovery
            // point and the copy share a place, it goes with the copy.
            let went = |resource: &&Resource| {
                acquired == Acquired::RecoveryPoint
                    && of(Acquired::Sandbox).any(|other| other.key() == resource.key())
            };
            for resource in of(acquired).filter(|resource| !went(resource)) {
                let Err(failure) = sandbox.release(run, resource).await else {
                    continue;
                };
                left.push(Leak {
                    resource: resource.clone(),
                    reason: failure.message.clone(),
                });
                first.get_or_insert(failure);
            }
            if let Some(failure) = first {
                return Err(Unreleased { failure, left });
            }
        }
    }
    Ok(())
}
