//! Dumps in a bucket: found, and brought to where the copy's agent reads them.
//! The copy itself reaches nothing, so another pod does that.

use super::{
    capture::write,
    outlet::Outlet,
    protocol::{Done, Fetch, Said},
    source,
};
use crate::{
    domain::{failure::Failure, recovery_point::POINT_FILE, step::Step},
    engine::{Context, Engine},
};

pub(super) async fn find(cx: &Context, engine: &dyn Engine, outlet: &Outlet) {
    let found = source::through(cx, || engine.find(cx, None)).await;
    let found = found.map(|point| Done::Find(Box::new(point)));
    say(outlet, Step::Capture, found);
}

pub(super) async fn fetch(cx: &Context, engine: &dyn Engine, outlet: &Outlet, task: &Fetch) {
    let fetched = async {
        let point = source::through(cx, || engine.fetch(cx, &task.point, &task.into)).await?;
        write(&point, &task.into.join(POINT_FILE))?;
        Ok(Done::Fetch)
    };
    say(outlet, Step::Start, fetched.await);
}

fn say(outlet: &Outlet, step: Step, result: Result<Done, Failure>) {
    outlet.say(match result {
        Ok(done) => Said::Done(Box::new(done)),
        Err(failure) => Said::Failed { step, failure },
    });
}
