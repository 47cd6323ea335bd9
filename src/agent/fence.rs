//! Whether the fence around this pod holds, and what follows where it does not.

use std::time::Duration;

use tokio::sync::Notify;

use super::{protocol::Outside, reach};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::Fence,
    },
    engine::Context,
};

/// How long an answer is waited for. A packet that is dropped is never answered:
/// longer waiting would say no more.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// The same while a recovery waits for this pod to end, and the clock runs. Who is
/// there answers sooner.
pub(super) const IN_RECOVERY: Duration = Duration::from_millis(500);

/// Does the pod's work and tries the fence beside it, once the pod is let out: it
/// is as soon as what it may reach has answered, and at the latest when the work
/// is done.
///
/// # Errors
/// If the work fails, or the fence does not hold, which ends the work.
pub(super) async fn beside<T>(
    cx: &Context,
    (outside, patience): (&Outside, Duration),
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<(T, Fence), Failure> {
    let done = Notify::new();
    let work = async {
        let worked = work.await;
        done.notify_one();
        worked
    };
    let fence = async {
        if let Some(way) = &outside.after {
            tokio::select! {
                () = reach::let_out(way) => {}
                () = done.notified() => {}
            }
        }
        tried(cx, outside, patience).await
    };
    tokio::try_join!(work, fence)
}

/// Tries what must not be reached, and tells what has to be said of it.
///
/// # Errors
/// If something was reached, unless that is allowed.
pub(super) async fn tried(
    cx: &Context,
    outside: &Outside,
    patience: Duration,
) -> Result<Fence, Failure> {
    let fence = reach::tried(outside, patience).await;
    for note in holds(&fence, outside)? {
        cx.note(note);
    }
    Ok(fence)
}

/// Whether the pod may go on inside of such a fence, and what has to be said of
/// it then.
fn holds(fence: &Fence, outside: &Outside) -> Result<Vec<String>, Failure> {
    let pod = outside.from.as_ref();
    let inside = pod.map_or_else(
        || "inside the sandbox".to_owned(),
        |pod| format!("pod {pod}"),
    );
    let untested = fence.untested.iter();
    let mut notes: Vec<String> = untested
        .map(|why| format!("the fence is untested: {why}"))
        .collect();
    if fence.network {
        return Ok(notes);
    }
    let holes = fence.holes();
    let what = if holes.is_empty() {
        format!("nothing outside could be tried from {inside}")
    } else {
        let holes = holes.join(", ");
        format!("from {inside} it was possible to {holes}")
    };
    if outside.allow_unfenced {
        notes.insert(0, format!("NOT FENCED, as the drill allows: {what}"));
        return Ok(notes);
    }
    let attempts = fence.attempts.iter();
    let lines = attempts.map(|attempt| format!("{}: {}", attempt.what, attempt.how));
    let message = format!("fence: not enforced: {what}");
    Err(Failure::new(FailureKind::Unavailable, message)
        .hint(
            "the cluster's network plugin does not enforce NetworkPolicies; use one that does, or \
             set sandbox.kubernetes.allowUnfenced",
        )
        .diagnosis(lines.chain(notes)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        agent::{outlet::Outlet, protocol::Target},
        clock::SystemClock,
        domain::{ids::RunId, record::Attempt},
    };

    /// A fence as the probe tells of it.
    fn fence(prevented: bool) -> Fence {
        Fence {
            network: prevented,
            attempts: vec![Attempt {
                from: None,
                what: "connect to the source at 192.0.2.1:5432".to_owned(),
                prevented,
                how: "as it was".to_owned(),
            }],
            ..Fence::default()
        }
    }

    fn outside(from: Option<&str>, allow_unfenced: bool) -> Outside {
        Outside {
            from: from.map(str::to_owned),
            allow_unfenced,
            ..Outside::default()
        }
    }

    #[test]
    fn what_is_reached_stops_the_drill_unless_that_is_allowed() {
        for (from, inside) in [
            (None, "from inside the sandbox"),
            (Some("lifeboat-dump"), "from pod lifeboat-dump"),
        ] {
            let (strict, lax) = (outside(from, false), outside(from, true));
            assert_eq!(holds(&fence(true), &strict).unwrap(), Vec::<String>::new());
            let failure = holds(&fence(false), &strict).unwrap_err();
            assert_eq!(failure.kind, FailureKind::Unavailable, "inconclusive");
            let what =
                format!("{inside} it was possible to connect to the source at 192.0.2.1:5432");
            assert_eq!(failure.message, format!("fence: not enforced: {what}"));
            let notes = holds(&fence(false), &lax).unwrap();
            assert_eq!(notes, [format!("NOT FENCED, as the drill allows: {what}")]);
        }
    }

    #[test]
    fn what_was_not_tried_is_said_and_nothing_tried_is_no_fence() {
        let why = "the way to the source: no address";
        let some = Fence {
            untested: vec![why.to_owned()],
            ..fence(true)
        };
        let told = format!("the fence is untested: {why}");
        let strict = outside(None, false);
        assert_eq!(holds(&some, &strict).unwrap(), [told.as_str()]);
        let none = Fence {
            untested: vec![why.to_owned()],
            ..Fence::default()
        };
        let failure = holds(&none, &strict).unwrap_err();
        assert!(failure.diagnosis.contains(&told), "{failure:?}");
    }

    fn target(host: &str, port: u16) -> Target {
        Target {
            what: "it".to_owned(),
            host: host.to_owned(),
            port,
        }
    }

    /// What is kept in only because the pod is not yet let out says nothing.
    #[tokio::test]
    async fn nothing_is_tried_before_the_pod_is_let_out() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut task = outside(Some("lifeboat-fetch"), false);
        task.targets = vec![target("127.0.0.1", port)];
        // It has no name yet.
        task.after = Some(target("no-such-host.invalid", 1));
        let clock = Arc::new(SystemClock::default());
        let cx = &Context {
            run: RunId::new(jiff::Timestamp::UNIX_EPOCH),
            events: Arc::new(Outlet::new(clock.clone())),
            clock,
            cancel: CancellationToken::new(),
        };
        let endless = std::future::pending::<Result<(), Failure>>();
        let early = beside(cx, (&task, PATIENCE), endless);
        let early = tokio::time::timeout(Duration::from_secs(1), early).await;
        assert!(early.is_err(), "{early:?}");
        // Work that is done has been let out.
        let done = beside(cx, (&task, PATIENCE), async { Ok(()) }).await;
        assert!(done.unwrap_err().message.contains("lifeboat-fetch"));
        task.after = Some(target("127.0.0.1", port));
        let endless = std::future::pending::<Result<(), Failure>>();
        let ended = beside(cx, (&task, PATIENCE), endless).await;
        assert!(ended.is_err(), "a fence that does not hold ends the work");
    }
}
