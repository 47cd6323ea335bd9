//! The agent: does the heavy work where the data is, and tells of it.
//!
//! It runs in a pod of the sandbox, in the engine's own image, and has no way
//! to reach the service, nor the service to reach it but through the API
//! server. So it is given everything at its start, in a file, and tells what
//! happens on its standard output, line by line. Whoever reads the lines may
//! lose the connection, die and begin anew: they are all there.

mod capture;
mod copy;
mod fence;
mod fetch;
mod hold;
mod install;
mod outlet;
pub mod protocol;
mod reach;
mod source;

use std::{path::Path, sync::Arc};

use tokio_util::sync::CancellationToken;

pub use self::install::install;
use self::{
    outlet::Outlet,
    protocol::{Said, Task, Work},
};
use crate::{
    clock::Clock,
    domain::failure::{Failure, FailureKind},
    engine::{Context, Engine},
};

/// Reads the task that the agent was given.
///
/// # Errors
/// If there is none, or it makes no sense.
pub fn read_task(file: &Path) -> Result<Task, Failure> {
    let invalid = |error: &dyn std::fmt::Display| {
        let message = format!("cannot read the task {}: {error}", file.display());
        Failure::new(FailureKind::Internal, message)
    };
    let text = std::fs::read(file).map_err(|error| invalid(&error))?;
    serde_json::from_slice(&text).map_err(|error| invalid(&error))
}

/// Does a task to its end. What comes of it, failures too, is on the standard
/// output.
///
/// # Errors
/// If nothing can be written there any more.
pub async fn work(
    task: Task,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let outlet = Arc::new(Outlet::new(clock.clone()));
    // What holds is told to let go, and not cancelled.
    let holds = matches!(task.work, Work::Hold(_));
    let cx = Context {
        run: task.run,
        clock,
        events: outlet.clone(),
        cancel: if holds {
            CancellationToken::new()
        } else {
            stop.clone()
        },
    };
    let beats = outlet.beat();
    match task.work {
        Work::Capture(task) => capture::work(&cx, &*engine, &outlet, &task).await,
        Work::Find(outside) => fetch::find(&cx, &*engine, &outlet, &outside).await,
        Work::Fetch(task) => fetch::fetch(&cx, &*engine, &outlet, &task).await,
        Work::Hold(hold) => hold::work(&cx, &*engine, &outlet, &hold, stop).await,
        Work::Copy(copy) => copy::work(&cx, &*engine, &outlet, *copy).await,
    }
    beats.abort();
    outlet.say(Said::End);
    outlet.result()
}
