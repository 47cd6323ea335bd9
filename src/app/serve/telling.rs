//! Telling others how runs ended.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    api::Renewed,
    app::App,
    domain::failure::Failure,
    metrics::Meters,
    notify::{Client, Notifier, Outcome, Targets},
};

/// How often to look for what is to be told.
const EVERY: Duration = Duration::from_secs(5);

/// Tells by what this process can reach.
pub(super) fn notifier(app: &Arc<App>) -> Result<Notifier, Failure> {
    let (clock, history) = (app.clock.clone(), app.history.clone());
    Ok(Notifier::new(clock, history, Client::new()?, app.clone()))
}

pub(super) async fn notify_again(
    notifier: Notifier,
    targets: Arc<Renewed<Targets>>,
    meters: Arc<Meters>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let (told, errors) = notifier.round(&targets.get()).await;
        for (target, outcome) in told {
            meters.notified(&target, name(outcome));
        }
        for error in errors {
            let error = Failure::from(&error).message;
            tracing::warn!(error, "cannot look for what is to be told");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Sent => "sent",
        Outcome::Skipped => "skipped",
        Outcome::Failed => "failed",
        Outcome::GivenUp => "given_up",
    }
}
