//! What a server's or client's error means, and what to do about it.

use std::{io::ErrorKind, path::Path};

use tokio_postgres::error::SqlState;

use crate::domain::failure::{Failure, FailureKind, chain};

/// Turns a driver error into a failure that names what was being done.
pub(super) fn failure(doing: &str, error: &tokio_postgres::Error) -> Failure {
    let Some(db) = error.as_db_error() else {
        let kind = if error.is_closed() {
            FailureKind::Unavailable
        } else {
            transport_kind(error)
        };
        return Failure::new(kind, format!("{doing}: {}", chain(error)));
    };
    let (kind, hint) = classify(db.code());
    let mut failure = Failure::new(
        kind,
        format!("{doing}: {} ({})", db.message(), db.code().code()),
    );
    failure.hint = db.hint().map(str::to_owned).or(hint.map(str::to_owned));
    failure
}

/// Turns an error with a file into a failure that names it.
pub(super) fn file_failure(error: &std::io::Error, verb: &str, path: &Path) -> Failure {
    let kind = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FailureKind::Exhausted,
        ErrorKind::PermissionDenied => FailureKind::Denied,
        _ => FailureKind::Unavailable,
    };
    let failure = Failure::new(kind, format!("cannot {verb} {}: {error}", path.display()));
    match kind {
        FailureKind::Exhausted => full(failure, path.parent().unwrap_or(path)),
        _ => failure,
    }
}

/// What PostgreSQL's programs say on a full disk, in English.
pub(super) const NO_SPACE: [&str; 4] = [
    "No space left on device",
    "Disk quota exceeded",
    "Check free disk space",
    "wrote only",
];

/// Whether a program's words tell of a full disk.
pub(super) fn tells_no_space(text: &str) -> bool {
    NO_SPACE.iter().any(|sign| text.contains(sign))
}

/// Adds how much space is left at `path`, and what to do.
pub(super) fn full(failure: Failure, path: &Path) -> Failure {
    let free = match nix::sys::statvfs::statvfs(path) {
        Ok(stat) => format!(
            "{} bytes free",
            stat.blocks_available() * stat.fragment_size()
        ),
        Err(error) => format!("free space unknown: {error}"),
    };
    failure
        .diagnosis([format!("{}: {free}", path.display())])
        .hint(format!(
            "make room at {}, or set sandbox.local.directory to a larger place",
            path.display()
        ))
}

fn transport_kind(error: &tokio_postgres::Error) -> FailureKind {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return match io.kind() {
                ErrorKind::PermissionDenied => FailureKind::Denied,
                _ => FailureKind::Unavailable,
            };
        }
        source = inner.source();
    }
    FailureKind::Unavailable
}

fn classify(code: &SqlState) -> (FailureKind, Option<&'static str>) {
    match code.code() {
        "28P01" | "28000" => (
            FailureKind::Denied,
            Some("check the user, the password source and pg_hba.conf"),
        ),
        "42501" => (
            FailureKind::Denied,
            Some("grant the rights that docs/postgresql.md lists, then run `lifeboat check`"),
        ),
        "3D000" | "42P01" | "3F000" | "42704" => (FailureKind::NotFound, None),
        "57014" => (FailureKind::Timeout, None),
        "53100" => (FailureKind::Exhausted, Some("the server's disk is full")),
        "53300" => (
            FailureKind::Exhausted,
            Some(
                "the server has no connection left; lower the number of jobs or raise max_connections",
            ),
        ),
        "53200" => (FailureKind::Exhausted, None),
        "57P01" | "57P02" | "57P03" => (FailureKind::Unavailable, None),
        code if code.starts_with("08") => (FailureKind::Unavailable, None),
        // What is stored means nothing to the server, such as a value of an enum
        // that the enum does not have.
        "22P03" => (FailureKind::BadBackup, None),
        code if code.starts_with("XX") => (FailureKind::BadBackup, None),
        _ => (FailureKind::Internal, None),
    }
}
