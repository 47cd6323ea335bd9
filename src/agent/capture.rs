//! Making a recovery point, next to the source.

use std::{fs::File, io::BufWriter, path::Path};

use super::{
    fence,
    outlet::Outlet,
    protocol::{Capture, Done, Said},
    source,
};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        recovery_point::{Artifact, POINT_FILE, RecoveryPoint},
        step::Step,
    },
    engine::{Context, Engine},
    sandbox::Room,
};

pub(super) async fn work(cx: &Context, engine: &dyn Engine, outlet: &Outlet, task: &Capture) {
    outlet.say(match make(cx, engine, task).await {
        Ok(done) => Said::Done(Box::new(done)),
        Err(failure) => Said::Failed {
            step: Step::Capture,
            failure,
        },
    });
}

async fn make(cx: &Context, engine: &dyn Engine, task: &Capture) -> Result<Done, Failure> {
    let source = source::inspect(cx, engine).await?;
    let (into, room) = (&task.into, Room::Directory(task.into.clone()));
    // Beside: what is dumped is not executed here, and goes nowhere else whether
    // the fence holds or not.
    let outside = (&task.outside, fence::PATIENCE);
    let (mut point, fence) = fence::beside(cx, outside, engine.capture(cx, &room)).await?;
    // In a bucket it lies beside the dump already.
    if !matches!(point.artifact, Artifact::StoredDump { .. }) {
        write(&point, &into.join(POINT_FILE))?;
    }
    if let Some(fingerprint) = &point.fingerprint {
        let rows: u64 = fingerprint.tables.values().map(|table| table.rows).sum();
        let counts = [("tables", fingerprint.tables.len() as u64), ("rows", rows)];
        let counts = counts.map(|(name, count)| (name.to_owned(), count.to_string()));
        point.details.extend(counts);
    }
    point.fingerprint = None;
    point.inventory = None;
    Ok(Done::Capture {
        source,
        point: Box::new(point),
        fence,
    })
}

pub(super) fn write(point: &RecoveryPoint, path: &Path) -> Result<(), Failure> {
    let unwritable = |error: &dyn std::fmt::Display| {
        let message = format!("cannot write {}: {error}", path.display());
        Failure::new(FailureKind::Exhausted, message)
    };
    let file = File::create(path).map_err(|error| unwritable(&error))?;
    let mut file = BufWriter::new(file);
    serde_json::to_writer(&mut file, point).map_err(|error| unwritable(&error))?;
    let file = file.into_inner().map_err(|error| unwritable(&error))?;
    file.sync_all().map_err(|error| unwritable(&error))
}
