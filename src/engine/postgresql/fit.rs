//! Whether this machine's programs can make a drill: asked before anything is
//! made, so that no dump is taken which could not be restored here.

use super::{
    PostgresEngine,
    capture::compression_argument,
    tools::{Tools, major_of, major_of_num},
};
use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::SourceFacts,
        recovery_point::RecoveryPoint,
    },
    spec::drill::FreshDump,
};

/// Of a dump that is yet to be taken from a source.
///
/// # Errors
/// With what is missing, or why the versions do not go together.
pub(super) async fn fresh(
    engine: &PostgresEngine,
    source: &SourceFacts,
    fresh: &FreshDump,
) -> Result<(), Failure> {
    let version_num = source.details.get("version_num");
    let Some(version_num) = version_num.and_then(|number| number.parse().ok()) else {
        return Ok(());
    };
    let tools = Tools::find(&engine.workload.tools).await;
    compression_argument(fresh.compression, tools.dump_for(version_num)?)?;
    copy(engine, &tools, major_of_num(version_num))
}

/// Of a backup that is there.
///
/// # Errors
/// As [`fresh`].
pub(super) async fn existing(
    engine: &PostgresEngine,
    point: &RecoveryPoint,
) -> Result<(), Failure> {
    let Some(major) = point.source_version.as_deref().and_then(major_of) else {
        return Ok(());
    };
    let tools = Tools::find(&engine.workload.tools).await;
    copy(engine, &tools, major)?;
    let into = engine.sandbox.version.unwrap_or(major);
    match producer(point).filter(|producer| *producer > into) {
        Some(producer) => tools.reader(producer).map(drop),
        None => Ok(()),
    }
}

/// The major version of the `pg_dump` that made an archive.
pub(super) fn producer(point: &RecoveryPoint) -> Option<u16> {
    let producer = point.producer.as_deref()?;
    major_of(producer.strip_prefix("pg_dump ")?)
}

fn copy(engine: &PostgresEngine, tools: &Tools, major: u16) -> Result<(), Failure> {
    let into = engine.sandbox.version.unwrap_or(major);
    not_older(major, into)?;
    tools.server(into).map(drop)
}

/// A dump may use whatever its own version knows.
///
/// # Errors
/// `Invalid` if it is to be restored into an older one.
pub(super) fn not_older(major: u16, into: u16) -> Result<(), Failure> {
    if into >= major {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::Invalid,
        format!(
            "a dump of PostgreSQL {major} cannot be restored into the older version {into}, which \
             does not know all that it may hold"
        ),
    )
    .hint(format!(
        "set sandbox.local.version to {major} or newer, or leave it out"
    )))
}
