//! Trying out everything a run will need, for `lifeboat check`.

mod canary;
mod connections;
mod place;
mod rights;
mod store;

use self::place::Need;
use super::{
    PostgresEngine,
    endpoint::Endpoint,
    session::Session,
    tools::{Tools, major_of_num, version_text},
};
use std::path::Path;

use crate::{
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
        recovery_point::RecoveryPoint,
    },
    engine::{
        Context,
        preflight::{Need as Room, space},
    },
};

/// Room that a drill is expected to take, as a multiple of the database: the
/// copy, the dump, and log and sort files while indexes are built.
const OF_DATABASE: u64 = 3;

/// The same as a multiple of a dump, which holds no indexes and mostly is
/// compressed.
const OF_DUMP: u64 = 5;

/// The major versions that are known to work.
const SUPPORTED: std::ops::RangeInclusive<u16> = 13..=18;

pub(super) async fn preflight(
    engine: &PostgresEngine,
    cx: &Context,
    scratch: &Path,
) -> Vec<Finding> {
    let tools = Tools::find(&engine.workload.tools).await;
    let (mut findings, backup) = store::look(engine, cx).await;
    let mut room = backup.as_ref().map(of_backup);
    match engine.source_endpoint() {
        Ok(Some(endpoint)) => {
            let database = live(engine, cx, &endpoint, &tools, &mut findings).await;
            room = database.map(of_database).or(room);
        }
        Ok(None) => {
            let text = "none is named: an existing backup is drilled";
            findings.push(Finding::ok("source", text));
            findings.extend(place::backup_tools(&tools, engine.sandbox.version));
        }
        Err(failure) => findings.push(finding_of("source", &failure)),
    }
    findings.push(space(scratch, room));
    findings
}

fn of_database(bytes: u64) -> Room {
    Room {
        of: "database",
        bytes,
        times: OF_DATABASE,
        at_least: 1,
    }
}

/// A dump in a bucket is fetched to the scratch place; another one stays where
/// it is, and may be larger than its database.
fn of_backup(point: &RecoveryPoint) -> Room {
    Room {
        of: "backup",
        bytes: point.size_bytes,
        times: OF_DUMP,
        at_least: u64::from(point.artifact.path().is_err()),
    }
}

/// What the source told about itself, for the single questions.
struct Looked<'a> {
    engine: &'a PostgresEngine,
    cx: &'a Context,
    endpoint: &'a Endpoint,
    session: Session,
    version_num: u32,
    database_bytes: u64,
    standby: bool,
}

/// Gives the size of the database, if it can be looked at.
async fn live(
    engine: &PostgresEngine,
    cx: &Context,
    endpoint: &Endpoint,
    tools: &Tools,
    findings: &mut Vec<Finding>,
) -> Option<u64> {
    let looked = match look(engine, cx, endpoint, findings).await {
        Ok(looked) => looked,
        Err(failure) => {
            findings.push(finding_of("source", &failure));
            return None;
        }
    };
    findings.push(supported(looked.version_num));
    let need = Need {
        server_version_num: looked.version_num,
        restore_into: engine.sandbox.version,
        fresh: engine.fresh.as_ref(),
    };
    findings.extend(place::tools(tools, &need));
    let parts = [
        rights::look(&looked).await,
        connections::look(&looked).await,
        canary::look(&looked).await,
    ];
    for part in parts {
        findings.extend(part.unwrap_or_else(|failure| vec![finding_of("source", &failure)]));
    }
    Some(looked.database_bytes)
}

async fn look<'a>(
    engine: &'a PostgresEngine,
    cx: &'a Context,
    endpoint: &'a Endpoint,
    findings: &mut Vec<Finding>,
) -> Result<Looked<'a>, Failure> {
    let begun = cx.clock.monotonic();
    let session = Session::open(endpoint, cx.run).await?;
    let sql = "select current_setting('server_version_num')::int4, \
               pg_database_size(current_database()), pg_is_in_recovery()";
    let row = session.row("look at the source", sql, &[]).await?;
    let elapsed = cx.clock.monotonic().saturating_sub(begun).as_millis();
    let text = format!("{} answers after {elapsed} ms", endpoint.location());
    findings.push(Finding::ok("source", text));
    Ok(Looked {
        engine,
        cx,
        endpoint,
        session,
        version_num: u32::try_from(row.get::<_, i32>(0)).unwrap_or(0),
        database_bytes: u64::try_from(row.get::<_, i64>(1)).unwrap_or(0),
        standby: row.get(2),
    })
}

fn supported(version_num: u32) -> Finding {
    let version = version_text(version_num);
    let (first, last) = (SUPPORTED.start(), SUPPORTED.end());
    let major = major_of_num(version_num);
    if SUPPORTED.contains(&major) {
        Finding::ok("version", format!("PostgreSQL {version}"))
    } else if major > *last {
        let text = format!("PostgreSQL {version} is newer than any that was tried ({last})");
        Finding::warning("version", text).hint("look for a newer release of Lifeboat")
    } else {
        let text = format!("PostgreSQL {version} is too old: {first} to {last} are supported");
        Finding::error("version", text).hint("upgrade the server")
    }
}

/// A failure at the source as something that was found.
fn finding_of(subject: &str, failure: &Failure) -> Finding {
    let finding = Finding::failed(subject, failure);
    match failure.kind {
        _ if finding.hint.is_some() => finding,
        FailureKind::Unavailable => {
            finding.hint("see whether the server runs and can be reached from here")
        }
        FailureKind::NotFound => finding.hint("check the name of the database"),
        _ => finding,
    }
}

/// The first few of many, and how many more there are.
fn first_few(names: &[String]) -> String {
    const FEW: usize = 5;
    let shown = names
        .iter()
        .take(FEW)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(FEW) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::Severity;

    #[test]
    fn names_a_few_and_counts_the_rest() {
        let names: Vec<String> = (1..=7).map(|n| format!("t{n}")).collect();
        assert_eq!(first_few(&names), "t1, t2, t3, t4, t5 and 2 more");
        assert_eq!(first_few(&names[..1]), "t1");
    }

    #[test]
    fn versions_outside_the_range_are_told() {
        assert_eq!(supported(120_019).severity, Severity::Error);
        assert_eq!(supported(130_001).severity, Severity::Ok);
        assert_eq!(supported(190_000).severity, Severity::Warning);
    }
}
