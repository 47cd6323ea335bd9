//! Bringing the copy up, showing that it serves, and checking it.

use std::path::Path;

use super::{
    outlet::Outlet,
    protocol::{Copy, Done, Point, Said},
    reach,
};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::Fence,
        recovery_point::{POINT_FILE, RecoveryPoint},
        step::Step,
    },
    engine::{Context, Engine, VerifyRequest},
    sandbox::Room,
};

/// Written at the begin: an agent that finds it has been restarted, and what
/// it would measure would be wrong.
const MARK: &str = "begun";

pub(super) async fn work(cx: &Context, engine: &dyn Engine, outlet: &Outlet, task: Copy) {
    if let Err((step, failure)) = steps(cx, engine, outlet, &task).await {
        outlet.say(Said::Failed { step, failure });
    }
}

async fn steps(
    cx: &Context,
    engine: &dyn Engine,
    outlet: &Outlet,
    task: &Copy,
) -> Result<(), (Step, Failure)> {
    let at = |step: Step| move |failure: Failure| (step, failure);
    let done = |done: Done| outlet.say(Said::Done(Box::new(done)));

    begin(&task.directory).map_err(at(Step::Start))?;
    let point = point(&task.point).map_err(at(Step::Start))?;
    // Its answers may take seconds, which are not the recovery's: it goes on
    // beside, and what it finds ends everything.
    let probe = reach::outside(&task.unreachable, &task.untested);
    let recovery = async {
        let room = Room::Directory(task.directory.clone());
        let source = task.source.as_ref();
        let instance = engine.start(cx, &point, source, &room).await;
        let instance = instance.map_err(at(Step::Start))?;
        done(Done::Start);
        let restored = engine.restore(cx, &point, &instance).await;
        let restored = restored.map_err(at(Step::Restore))?;
        engine.serve(cx, &instance).await.map_err(at(Step::Serve))?;
        Ok((instance, restored))
    };
    let probe = async {
        let fence = probe.await;
        let notes = holds(&fence, task.allow_unfenced).map_err(at(Step::Start))?;
        for note in notes {
            cx.note(note);
        }
        Ok(fence)
    };
    let ((instance, mut restored), fence) = tokio::try_join!(recovery, probe)?;
    restored.facts.fence = fence;
    done(Done::Restore {
        facts: restored.facts,
        checks: restored.checks,
    });
    done(Done::Serve);

    if !task.faults.is_empty() {
        let planted = engine.spoil(cx, &task.faults, &instance).await;
        done(Done::Spoil(planted.map_err(at(Step::Spoil))?));
    }

    let request = VerifyRequest {
        point: &point,
        source: task.source.as_ref(),
        declared_at: task.declared_at,
    };
    let verification = engine.verify(cx, request, &instance).await;
    done(Done::Verify(verification.map_err(at(Step::Verify))?));
    Ok(())
}

fn begin(directory: &Path) -> Result<(), Failure> {
    let mark = std::fs::File::create_new(directory.join(MARK));
    mark.map(drop).map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            let message = "the agent was restarted in the middle of its work";
            return Failure::new(FailureKind::Interrupted, message)
                .hint("see the pod's events: out of memory?");
        }
        let message = format!("cannot write to {}: {error}", directory.display());
        Failure::new(FailureKind::Unavailable, message)
    })
}

fn point(point: &Point) -> Result<RecoveryPoint, Failure> {
    match point {
        Point::Here(point) => Ok((**point).clone()),
        Point::Beside(directory) => {
            let file = directory.join(POINT_FILE);
            let unreadable = |error: &dyn std::fmt::Display| {
                let message = format!("cannot read {}: {error}", file.display());
                Failure::new(FailureKind::BadBackup, message)
            };
            let text = std::fs::read(&file).map_err(|error| unreadable(&error))?;
            serde_json::from_slice(&text).map_err(|error| unreadable(&error))
        }
    }
}

/// Whether the copy may go on inside of such a fence, and what has to be said of
/// it then.
fn holds(fence: &Fence, allow_unfenced: bool) -> Result<Vec<String>, Failure> {
    let untested = fence.untested.iter();
    let mut notes: Vec<String> = untested
        .map(|why| format!("the fence is untested: {why}"))
        .collect();
    if fence.network {
        return Ok(notes);
    }
    let holes = fence.holes();
    let what = if holes.is_empty() {
        "nothing outside could be tried from inside the sandbox".to_owned()
    } else {
        let holes = holes.join(", ");
        format!("from inside the sandbox it was possible to {holes}")
    };
    if allow_unfenced {
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
    use super::*;
    use crate::domain::record::Attempt;

    /// A fence as the probe tells of it.
    fn fence(prevented: bool) -> Fence {
        Fence {
            network: prevented,
            attempts: vec![Attempt {
                what: "connect to the source at 192.0.2.1:5432".to_owned(),
                prevented,
                how: "as it was".to_owned(),
            }],
            ..Fence::default()
        }
    }

    #[test]
    fn what_is_reached_stops_the_drill_unless_that_is_allowed() {
        assert_eq!(holds(&fence(true), false).unwrap(), Vec::<String>::new());
        let failure = holds(&fence(false), false).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unavailable, "inconclusive");
        let what = "possible to connect to the source at 192.0.2.1:5432";
        assert!(failure.message.starts_with("fence: not enforced"));
        assert!(failure.message.contains(what), "{failure}");
        let notes = holds(&fence(false), true).unwrap();
        assert!(notes[0].starts_with("NOT FENCED"), "{notes:?}");
        assert!(notes[0].contains(what), "{notes:?}");
    }

    #[test]
    fn what_was_not_tried_is_said_and_nothing_tried_is_no_fence() {
        let why = "the way to the source: no address";
        let some = Fence {
            untested: vec![why.to_owned()],
            ..fence(true)
        };
        let told = format!("the fence is untested: {why}");
        assert_eq!(holds(&some, false).unwrap(), [told.as_str()]);
        let none = Fence {
            untested: vec![why.to_owned()],
            ..Fence::default()
        };
        let failure = holds(&none, false).unwrap_err();
        assert!(failure.diagnosis.contains(&told), "{failure:?}");
    }
}
