//! Bringing the copy up, showing that it serves, and checking it.

use std::path::Path;

use super::{
    fence,
    outlet::Outlet,
    protocol::{Copy, Done, Point, Said},
};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
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
    // Its answers may take seconds, which are not the recovery's: it goes on
    // beside, and what it finds ends everything.
    let probe = async {
        let fence = fence::tried(cx, &task.outside, fence::PATIENCE).await;
        fence.map_err(at(Step::Start))
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
