//! What `pg_dump`'s last words mean, and what to do about it.

use std::path::Path;

use crate::{
    domain::failure::{Failure, FailureKind},
    engine::postgresql::{endpoint::Endpoint, error::full, globals::identifier},
};

/// Lines of standard error that are kept for the reader.
const LINES: usize = 20;

/// What a message holds, what kind of failure that is, and what to do. The
/// first one that any line holds counts, so causes stand before consequences.
const MEANINGS: [(&str, FailureKind, &str); 22] = [
    ("No space left on device", FailureKind::Exhausted, ""),
    ("Disk quota exceeded", FailureKind::Exhausted, ""),
    ("permission denied for", FailureKind::Denied, ""),
    ("row-level security policy", FailureKind::Denied, ""),
    (
        "server version mismatch",
        FailureKind::NotFound,
        "name the directory of a newer pg_dump under workload.postgresql.tools",
    ),
    (
        "password authentication failed",
        FailureKind::Denied,
        "check the user, the password source and pg_hba.conf",
    ),
    (
        "no password supplied",
        FailureKind::Denied,
        "give the drill a password source",
    ),
    (
        "no pg_hba.conf entry",
        FailureKind::Denied,
        "let this user and machine in by pg_hba.conf",
    ),
    (
        "too many clients",
        FailureKind::Exhausted,
        "lower the number of jobs or raise max_connections",
    ),
    (
        "connection slots are reserved",
        FailureKind::Exhausted,
        "lower the number of jobs or raise max_connections",
    ),
    (
        "lock timeout",
        FailureKind::Timeout,
        "a table was locked for too long: end the session that alters it, or run the drill at another time",
    ),
    (
        "could not obtain lock",
        FailureKind::Conflict,
        "a table was altered during the dump: run the drill at another time",
    ),
    (
        "conflict with recovery",
        FailureKind::Conflict,
        "set hot_standby_feedback = on at the standby, or raise max_standby_streaming_delay",
    ),
    (
        "invalid snapshot identifier",
        FailureKind::Unavailable,
        "the session that holds the snapshot ended; see the server's log",
    ),
    (
        "invalid page in block",
        FailureKind::BadBackup,
        "the source's own data is damaged: see the server's log",
    ),
    (
        "missing chunk number",
        FailureKind::BadBackup,
        "the source's own data is damaged: see the server's log",
    ),
    (
        "not built with support",
        FailureKind::Invalid,
        "choose another compression, or another pg_dump",
    ),
    (
        "terminating connection",
        FailureKind::Unavailable,
        "the server ended the session: see its log",
    ),
    (
        "server closed the connection",
        FailureKind::Unavailable,
        "the server went away: see its log",
    ),
    (
        "the database system is",
        FailureKind::Unavailable,
        "the server is starting or stopping: see its log",
    ),
    (
        "connection to server",
        FailureKind::Unavailable,
        "see whether the server runs and can be reached",
    ),
    (
        "connection not open",
        FailureKind::Unavailable,
        "the server went away: see its log",
    ),
];

/// A failure from how `pg_dump` ended and the end of its standard error.
pub(super) fn failure(end: &str, stderr: Vec<String>, endpoint: &Endpoint, into: &Path) -> Failure {
    let meaning = MEANINGS.iter().find_map(|(text, kind, hint)| {
        let line = stderr.iter().find(|line| line.contains(text))?;
        Some((line, *kind, *hint))
    });
    let first = stderr.iter().find(|line| line.contains("error:"));
    let (line, kind, hint) = match (meaning, first.or(stderr.last())) {
        (Some((line, kind, hint)), _) => (line.clone(), kind, hint),
        (None, Some(line)) => (line.clone(), FailureKind::Internal, ""),
        (None, None) => ("no message".to_owned(), FailureKind::Internal, ""),
    };
    let skip = stderr.len().saturating_sub(LINES);
    let failure = Failure::new(kind, format!("{end}: {}", message_of(&line)))
        .diagnosis(stderr.into_iter().skip(skip));
    match kind {
        FailureKind::Exhausted if hint.is_empty() => full(failure, into),
        FailureKind::Denied if hint.is_empty() => failure.hint(grant(&line, &endpoint.user)),
        _ if hint.is_empty() => failure,
        _ => failure.hint(hint),
    }
}

/// Without the program's name in front.
fn message_of(line: &str) -> &str {
    let line = line.trim();
    line.split_once("error: ").map_or(line, |(_, rest)| rest)
}

/// The statement that gives the missing right.
fn grant(line: &str, user: &str) -> String {
    let user = identifier(user);
    if line.contains("row-level security") {
        return format!("ALTER ROLE {user} BYPASSRLS");
    }
    let object = line
        .split_once("permission denied for ")
        .map_or("", |(_, rest)| rest.trim());
    let (class, name) = object.split_once(' ').unwrap_or((object, ""));
    let see = "`lifeboat check` lists every missing right";
    match class {
        "schema" => format!(
            "GRANT USAGE ON SCHEMA {} TO {user}; {see}",
            identifier(name)
        ),
        "large" => {
            let number: String = name.chars().filter(char::is_ascii_digit).collect();
            format!("GRANT SELECT ON LARGE OBJECT {number} TO {user}; {see}")
        }
        "sequence" => format!("GRANT SELECT ON SEQUENCE {name} TO {user}; {see}"),
        "table" | "relation" => format!("GRANT SELECT ON TABLE {name} TO {user}; {see}"),
        _ => see.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::drill::TlsMode;

    fn diagnosed(lines: &[&str]) -> Failure {
        let endpoint = Endpoint {
            host: "db".into(),
            port: 5432,
            database: "shop".into(),
            user: "boat".into(),
            password: None,
            tls: TlsMode::Disable,
            root_certificates: None,
            read_only: true,
        };
        let lines = lines.iter().map(|&line| line.to_owned()).collect();
        failure("pg_dump ended with 1", lines, &endpoint, Path::new("/"))
    }

    #[test]
    fn names_the_object_and_the_grant() {
        let failure = diagnosed(&[
            "pg_dump: error: query failed: ERROR:  permission denied for table orders",
            "pg_dump: detail: Query was: LOCK TABLE public.orders IN ACCESS SHARE MODE",
        ]);
        assert_eq!(failure.kind, FailureKind::Denied);
        assert!(failure.message.contains("table orders"), "{failure}");
        let hint = failure.hint.unwrap();
        assert!(
            hint.contains("GRANT SELECT ON TABLE orders TO \"boat\""),
            "{hint}"
        );
    }

    #[test]
    fn a_cause_outweighs_its_consequences() {
        let failure = diagnosed(&[
            "pg_dump: error: server closed the connection unexpectedly",
            "pg_dump: error: could not write to output file: No space left on device",
        ]);
        assert_eq!(failure.kind, FailureKind::Exhausted);
        assert!(failure.diagnosis.iter().any(|line| line.contains("free")));
        let unknown = diagnosed(&["pg_dump: error: something new"]);
        assert_eq!(unknown.kind, FailureKind::Internal);
        assert_eq!(unknown.message, "pg_dump ended with 1: something new");
    }
}
