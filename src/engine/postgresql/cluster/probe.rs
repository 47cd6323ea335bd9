//! Shows, before any data is in the sandbox, that the copy will not get out.

use std::{net::SocketAddr, time::Duration};

use crate::{
    domain::{
        failure::{Failure, FailureKind},
        record::Fence,
        recovery_point::{Ownership, RecoveryPoint},
    },
    engine::{Context, postgresql::PostgresEngine},
    process::{
        Launch,
        fence::{self, Try, Way},
    },
};

/// How long a name may take to be looked up.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Tries from inside a fence like the server's to get at the source, at this
/// machine, at files outside and at a shell.
///
/// # Errors
/// If the fence has a hole, or cannot be put up, and the drill does not allow
/// to go on without.
pub(super) async fn probe(
    engine: &PostgresEngine,
    cx: &Context,
    point: &RecoveryPoint,
    fenced: Launch,
) -> Result<Fence, Failure> {
    let mut notes = Vec::new();
    let mut tries = source(engine, &mut notes).await;
    tries.extend(places(point));
    let allowed = engine.sandbox.allow_unfenced;
    let mut shown = match fence::probe(&engine.launcher, fenced, tries, &cx.cancel).await {
        Ok(shown) => shown,
        Err(failure) if allowed && failure.kind != FailureKind::Cancelled => {
            let note = format!("the fence was not tried: {failure}");
            cx.note(format!("NOT FENCED, as the drill allows: {note}"));
            notes.push(note);
            Fence::default()
        }
        Err(failure) => return Err(failure.hint(UNFENCED)),
    };
    shown.notes.extend(notes);
    let holes = shown.holes();
    if holes.is_empty() {
        return Ok(shown);
    }
    let holes = holes.join(", ");
    if allowed {
        cx.note(format!(
            "NOT FENCED, as the drill allows: from inside the sandbox it was possible to {holes}"
        ));
        return Ok(shown);
    }
    Err(hole(&holes, &shown))
}

/// What to do where the fence is not whole.
const UNFENCED: &str = "docs/fence.md says what the fence needs; sandbox.local.allowUnfenced: \
                        true goes on without it";

fn hole(holes: &str, shown: &Fence) -> Failure {
    let lines = shown.attempts.iter().map(|attempt| {
        let end = if attempt.prevented {
            "prevented"
        } else {
            "POSSIBLE"
        };
        format!("{}: {end} ({})", attempt.what, attempt.how)
    });
    Failure::new(
        FailureKind::Unavailable,
        format!(
            "the fence has a hole: from inside the sandbox it was possible to {holes}; nothing \
             was restored"
        ),
    )
    .hint(UNFENCED)
    .diagnosis(lines)
}

/// Every way to the source that the drill names.
async fn source(engine: &PostgresEngine, notes: &mut Vec<String>) -> Vec<Try> {
    let Some(connection) = &engine.workload.connection else {
        return Vec::new();
    };
    let to = |way| Try {
        to: "the source".to_owned(),
        way,
    };
    let (host, port) = (connection.host.as_str(), connection.port);
    if let Some(directory) = engine.source_sockets().pop() {
        return vec![to(Way::Socket(directory.join(format!(".s.PGSQL.{port}"))))];
    }
    // Inside, no name can be looked up.
    let addresses = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host((host, port))).await;
    let addresses: Vec<SocketAddr> = match addresses {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(error)) => {
            notes.push(format!(
                "the way to the source was not tried: {host}: {error}"
            ));
            Vec::new()
        }
        Err(_) => {
            notes.push(format!(
                "the way to the source was not tried: {host} was not found in time"
            ));
            Vec::new()
        }
    };
    addresses
        .into_iter()
        .map(|at| to(Way::Address(at)))
        .collect()
}

/// Directories that the copy's user could write, but for the fence.
fn places(point: &RecoveryPoint) -> Vec<Try> {
    let mut tries = vec![Try {
        to: "a directory of this machine".to_owned(),
        way: Way::Directory(std::env::temp_dir()),
    }];
    // A borrowed one is not ours to try.
    if point.ownership == Ownership::Ours
        && let Ok(path) = point.artifact.path()
        && let Some(directory) = path.parent()
    {
        tries.push(Try {
            to: "the recovery point".to_owned(),
            way: Way::Directory(directory.to_owned()),
        });
    }
    tries
}
