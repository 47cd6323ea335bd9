//! Dumps in a bucket: found, and brought to where the copy's agent reads them.
//! The copy itself reaches nothing, so another pod does that.

use super::{
    capture::write,
    fence,
    outlet::Outlet,
    protocol::{Done, Fetch, Outside, Said},
    source,
};
use crate::{
    domain::{failure::Failure, recovery_point::POINT_FILE, step::Step},
    engine::{Context, Engine},
};

pub(super) async fn find(cx: &Context, engine: &dyn Engine, outlet: &Outlet, outside: &Outside) {
    let found = async {
        let finding = source::through(cx, || engine.find(cx, None));
        let (point, fence) = fence::beside(cx, (outside, fence::PATIENCE), finding).await?;
        let point = Box::new(point);
        Ok(Done::Find { point, fence })
    };
    say(outlet, Step::Capture, found.await);
}

pub(super) async fn fetch(cx: &Context, engine: &dyn Engine, outlet: &Outlet, task: &Fetch) {
    let fetched = async {
        let fetching = source::through(cx, || engine.fetch(cx, &task.point, &task.into));
        let outside = (&task.outside, fence::IN_RECOVERY);
        let (point, fence) = fence::beside(cx, outside, fetching).await?;
        write(&point, &task.into.join(POINT_FILE))?;
        Ok(Done::Fetch { fence })
    };
    say(outlet, Step::Start, fetched.await);
}

fn say(outlet: &Outlet, step: Step, result: Result<Done, Failure>) {
    outlet.say(match result {
        Ok(done) => Said::Done(Box::new(done)),
        Err(failure) => Said::Failed { step, failure },
    });
}
