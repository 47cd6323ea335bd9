//! Holding the source still, for as long as it takes to cut its volumes.

use std::pin::pin;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    fence,
    outlet::Outlet,
    protocol::{Done, Hold, Said},
    source,
};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::Fence,
        step::Step,
    },
    engine::{Context, Engine, LetGo},
};

/// Lets go when `let_go` says so, and after the limit whoever says what: the
/// service that asked for it may be dead.
pub(super) async fn work(
    cx: &Context,
    engine: &dyn Engine,
    outlet: &Outlet,
    hold: &Hold,
    let_go: CancellationToken,
) {
    let told = |held| outlet.say(Said::Done(Box::new(Done::Hold(Box::new(held)))));
    let reached = Notify::new();
    let holding = async {
        source::inspect(cx, engine).await?;
        reached.notify_one();
        engine.hold(cx, hold.quiesce, &told, let_go.clone()).await
    };
    // Beside the hold, which waits for nothing that comes of it.
    let fence = async {
        reached.notified().await;
        fence::tried(cx, &hold.outside, fence::PATIENCE).await
    };
    outlet.say(match held(hold, holding, fence, &let_go).await {
        Ok((gone, fence)) => Said::Done(Box::new(Done::LetGo { gone, fence })),
        Err(failure) => Said::Failed {
            step: Step::Capture,
            failure,
        },
    });
}

/// The end of a hold, and how the fence was found. Where the fence does not hold,
/// the source is let go at once.
async fn held(
    hold: &Hold,
    holding: impl Future<Output = Result<LetGo, Failure>>,
    fence: impl Future<Output = Result<Fence, Failure>>,
    let_go: &CancellationToken,
) -> Result<(LetGo, Fence), Failure> {
    let limit = async {
        tokio::time::sleep(hold.limit).await;
        let_go.cancel();
    };
    let (mut limit, mut holding, mut fence) = (pin!(limit), pin!(holding), pin!(fence));
    let (mut over, mut found) = (false, None);
    let ended = loop {
        tokio::select! {
            ended = &mut holding => break ended,
            () = &mut limit, if !over => over = true,
            fence = &mut fence, if found.is_none() => {
                if fence.is_err() {
                    let_go.cancel();
                }
                found = Some(fence);
            }
        }
    };
    let gone = ended?;
    // The source is not held any more: now there is time to wait for the answer.
    let fence = match found {
        Some(found) => found?,
        None => fence.await?,
    };
    if over {
        return Err(too_long(hold));
    }
    Ok((gone, fence))
}

fn too_long(hold: &Hold) -> Failure {
    let limit = hold.limit.as_secs_f64();
    let message = format!("the source was held for {limit} s, and let go");
    Failure::new(FailureKind::Timeout, message)
        .hint("if cutting takes longer, set recoveryPoint.snapshot.holdLimit")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::agent::protocol::Outside;

    fn hold(limit: u64) -> Hold {
        Hold {
            quiesce: true,
            limit: Duration::from_secs(limit),
            outside: Outside::default(),
        }
    }

    async fn found_after(seconds: u64, holds: bool) -> Result<Fence, Failure> {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let failure = || Failure::new(FailureKind::Unavailable, "fence: not enforced");
        holds.then(Fence::default).ok_or_else(failure)
    }

    #[tokio::test(start_paused = true)]
    async fn a_fence_that_does_not_hold_ends_the_hold_at_once() {
        let let_go = CancellationToken::new();
        let holding = async {
            let soon = tokio::time::timeout(Duration::from_secs(3), let_go.cancelled()).await;
            soon.expect("it is let go before the limit");
            Ok(LetGo::default())
        };
        let ended = held(&hold(60), holding, found_after(2, false), &let_go).await;
        assert_eq!(ended.unwrap_err().message, "fence: not enforced");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_at_the_fence_is_no_part_of_the_hold() {
        let let_go = CancellationToken::new();
        // It is over before the limit, and the look is not.
        let holding = async { Ok(LetGo::default()) };
        let ended = held(&hold(1), holding, found_after(2, true), &let_go).await;
        assert!(ended.is_ok(), "{ended:?}");
        // The source that cannot be looked at is never tried from.
        let failed = async { Err(Failure::new(FailureKind::Denied, "no password")) };
        let ended = held(&hold(60), failed, std::future::pending(), &let_go).await;
        assert_eq!(ended.unwrap_err().message, "no password");
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_ends_a_hold() {
        let let_go = CancellationToken::new();
        let holding = async {
            let_go.cancelled().await;
            Ok(LetGo::default())
        };
        let ended = held(&hold(5), holding, found_after(2, true), &let_go).await;
        assert_eq!(ended.unwrap_err().kind, FailureKind::Timeout);
    }
}
