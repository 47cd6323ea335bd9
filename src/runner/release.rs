//! Giving back what a run acquired: by the ledger alone, so that it works the
//! same for a run of this process and for one of a process that died.

use crate::{
    domain::{failure::Failure, ids::RunId, resource::Resource, step::Acquired},
    sandbox::Sandbox,
};

/// What the ledger says was about to be made.
pub type Ledger = Vec<(Acquired, Resource)>;

/// Gives `acquired` back. What the ledger does not know was never made.
///
/// # Errors
/// With what is still there, and why.
pub async fn release(
    sandbox: &dyn Sandbox,
    run: RunId,
    ledger: &Ledger,
    acquired: Acquired,
) -> Result<(), Failure> {
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
            let mut first = Ok(());
            // What cannot be released does not keep the rest.
            for resource in of(acquired) {
                let released = sandbox.release(run, resource).await;
                first = first.and(released);
            }
            first?;
        }
    }
    Ok(())
}
