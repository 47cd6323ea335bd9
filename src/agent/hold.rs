//! Holding the source still, for as long as it takes to cut its volumes.

use tokio_util::sync::CancellationToken;

use super::{
    outlet::Outlet,
    protocol::{Done, Hold, Said},
    source,
};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        step::Step,
    },
    engine::{Context, Engine},
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
    let limit = async {
        tokio::time::sleep(hold.limit).await;
        let_go.cancel();
    };
    let told = |held| outlet.say(Said::Done(Box::new(Done::Hold(Box::new(held)))));
    let holding = async {
        source::inspect(cx, engine).await?;
        engine.hold(cx, hold.quiesce, &told, let_go.clone()).await
    };
    let mut over = false;
    tokio::pin!(limit, holding);
    let ended = loop {
        tokio::select! {
            ended = &mut holding => break ended,
            () = &mut limit, if !over => over = true,
        }
    };
    let ended = match ended {
        Ok(_) if over => Err(Failure::new(
            FailureKind::Timeout,
            format!(
                "the source was held for {} s, and let go",
                hold.limit.as_secs_f64()
            ),
        )
        .hint("if cutting takes longer, set recoveryPoint.snapshot.holdLimit")),
        ended => ended,
    };
    outlet.say(match ended {
        Ok(let_go) => Said::Done(Box::new(Done::LetGo(let_go))),
        Err(failure) => Said::Failed {
            step: Step::Capture,
            failure,
        },
    });
}
