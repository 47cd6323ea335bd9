//! What an error of the loader means.

use super::Loaded;
use crate::{
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
    },
    engine::postgresql::error::NO_SPACE,
};

/// One error that loading went on after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoadError {
    /// The object.
    pub subject: String,
    /// What the server said, without data.
    pub message: String,
}

/// The kinds of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    MissingRole,
    MissingExtension,
    AlreadyExists,
    Constraint,
    Unsupported,
    Permission,
    /// A setting that a newer `pg_restore` makes and this server lacks.
    UnknownSetting,
    /// The archive can't be read.
    Damaged,
    DiskFull,
    ServerGone,
    /// Between workers of a parallel load.
    Deadlock,
    Other,
}

/// What tells each kind, in English as `lc_messages=C` has it; first match.
const SIGNS: [(Problem, &[&str]); 11] = [
    (Problem::Deadlock, &["deadlock detected"]),
    (Problem::DiskFull, &NO_SPACE),
    (
        Problem::ServerGone,
        &[
            "server closed the connection",
            "terminating connection",
            "connection to server",
            "the database system is",
            "could not connect",
        ],
    ),
    (
        Problem::Damaged,
        &[
            "could not read from input file",
            "could not read from compressed file",
            "could not uncompress data",
            "could not decompress data",
            "unexpected end of file",
            "could not find block ID",
            "found unexpected block ID",
            "unrecognized data block type",
            "did not find magic string",
            "does not appear to be a valid",
            "input file is too short",
            "corrupt tar header",
            "could not find header for file",
            "could not open input file",
            "could not open TOC file",
            "could not close data file",
            "could not close compression",
            "could not seek",
            "error during file seek",
            "out of range -- perhaps a corrupt TOC",
            "possibly corrupt archive",
            "large object TOC file",
            "incomplete tar header",
            "mismatch in actual vs. predicted file position",
            "unexpected section code",
            "unexpected data offset flag",
            "sanity check on integer size",
            "differs from format found in file",
            "dumpId",
            "ENCODING item",
            "STDSTRINGS item",
            "SEARCHPATH item",
        ],
    ),
    (
        Problem::UnknownSetting,
        &["unrecognized configuration parameter"],
    ),
    (Problem::MissingRole, &["role \""]),
    (
        Problem::MissingExtension,
        &[
            "extension \"",
            "could not open extension control file",
            "could not access file \"",
            "could not load library",
        ],
    ),
    (Problem::AlreadyExists, &["already exists"]),
    (
        Problem::Constraint,
        &[
            "violates",
            "could not create unique index",
            "conflicting key value",
        ],
    ),
    (
        Problem::Unsupported,
        &["not supported", "unrecognized", "syntax error"],
    ),
    (
        Problem::Permission,
        &["permission denied", "must be owner", "must be superuser"],
    ),
];

impl Problem {
    pub(super) fn of(message: &str) -> Self {
        let told = |signs: &[&str]| signs.iter().any(|sign| message.contains(sign));
        let found = SIGNS.iter().find(|(problem, signs)| {
            let fits = told(signs);
            match problem {
                Self::MissingRole => fits && message.contains("does not exist"),
                Self::MissingExtension => fits && !message.contains("already exists"),
                _ => fits,
            }
        });
        found.map_or(Self::Other, |(problem, _)| *problem)
    }

    /// The failure, where loading can't be said to have been tried.
    pub(super) fn failure(self, message: &str) -> Option<Failure> {
        let (kind, what) = match self {
            Self::Damaged => (FailureKind::BadBackup, "the archive cannot be read"),
            Self::DiskFull => (FailureKind::Exhausted, "the sandbox's disk is full"),
            Self::ServerGone => (FailureKind::Unavailable, "the scratch server went away"),
            _ => return None,
        };
        if self == Self::Damaged && message.contains("Permission denied") {
            let hint = "let the account that the copy runs as read the backup";
            return Some(Failure::new(FailureKind::Denied, message).hint(hint));
        }
        Some(Failure::new(kind, format!("{what}: {message}")))
    }

    fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::MissingRole => "missing role",
            Self::MissingExtension => "missing extension",
            Self::AlreadyExists => "already there",
            Self::Constraint => "constraint violation",
            Self::Unsupported => "not supported",
            Self::Permission => "missing rights",
            Self::UnknownSetting => "unknown setting",
            Self::Deadlock => "deadlock",
            Self::Damaged | Self::DiskFull | Self::ServerGone | Self::Other => return None,
        })
    }

    fn hint(self) -> Option<&'static str> {
        match self {
            Self::MissingRole => {
                Some("give the output of pg_dumpall --globals-only as the backup's globals")
            }
            Self::MissingExtension => {
                Some("install the extension's package for this version of the server")
            }
            _ => None,
        }
    }
}

/// A finding per error; a tolerated one is a warning.
pub(super) fn findings(loaded: &Loaded, tolerate: &[String]) -> Vec<Finding> {
    let mut findings: Vec<_> = loaded
        .errors
        .iter()
        .map(|error| finding(error, tolerate))
        .collect();
    let hidden = loaded.total.saturating_sub(loaded.errors.len());
    if hidden > 0 {
        let message = format!("{hidden} more errors, not listed");
        findings.push(Finding::error("archive", message));
    }
    findings
}

fn finding(error: &LoadError, tolerate: &[String]) -> Finding {
    let problem = Problem::of(&error.message);
    let message = match problem.name() {
        Some(name) => format!("{name}: {}", error.message),
        None => error.message.clone(),
    };
    // Newer versions of `pg_restore` set this first of all, to no limit.
    let harmless =
        problem == Problem::UnknownSetting && error.message.contains("transaction_timeout");
    let mut finding = if is_tolerated(&error.subject, &message, tolerate) || harmless {
        Finding::warning(&error.subject, message)
    } else {
        Finding::error(&error.subject, message)
    };
    finding.hint = problem.hint().map(str::to_owned);
    finding
}

/// Whether the drill says that this error does not matter.
pub(super) fn is_tolerated(subject: &str, message: &str, tolerate: &[String]) -> bool {
    tolerate
        .iter()
        .any(|part| !part.is_empty() && (subject.contains(part) || message.contains(part)))
}

/// The first words of a statement, before anything that may be data.
pub(super) fn subject(statement: &str) -> String {
    let head = statement.split(['(', '\'']).next().unwrap_or_default();
    head.replace(" IF NOT EXISTS", "")
        .split_whitespace()
        .take(4)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Without the values that messages about input quote.
pub(super) fn redacted(message: &str) -> String {
    let quotes_data = [
        "invalid input",
        "invalid byte sequence",
        "out of range",
        "malformed",
        "date/time field",
        "value too long",
        "extra data after",
        "missing data for",
        "input is out",
        "syntax error at or near",
    ];
    if !quotes_data.iter().any(|part| message.contains(part)) {
        return message.to_owned();
    }
    match message.rfind(": \"").or_else(|| message.find(" near \"")) {
        Some(at) => message[..at].to_owned(),
        None => match message.find("value \"") {
            Some(at) => format!("{}value out of range", &message[..at]),
            None => message.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::check::Severity::{Error, Warning};

    fn error(message: &str) -> LoadError {
        LoadError {
            subject: "TABLE a".to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn kinds_are_told_apart() {
        for (message, problem) in [
            ("role \"bob\" does not exist", Problem::MissingRole),
            (
                "could not read from input file: end of file",
                Problem::Damaged,
            ),
            (
                "extension \"postgis\" is not available",
                Problem::MissingExtension,
            ),
            ("extension \"x\" already exists", Problem::AlreadyExists),
            (
                "insert or update on table \"a\" violates foreign key constraint \"b\"",
                Problem::Constraint,
            ),
            (
                "could not extend file: No space left on device",
                Problem::DiskFull,
            ),
            ("relation \"a\" does not exist", Problem::Other),
        ] {
            assert_eq!(Problem::of(message), problem, "{message}");
        }
    }

    #[test]
    fn tolerated_errors_are_warnings_and_hidden_ones_are_errors() {
        let loaded = Loaded {
            errors: vec![error("role \"bob\" does not exist"), error("other")],
            total: 3,
            phases: Vec::new(),
        };
        let found = findings(&loaded, &["\"bob\"".to_owned()]);
        let severities: Vec<_> = found.iter().map(|f| f.severity).collect();
        assert_eq!(severities, [Warning, Error, Error]);
    }

    #[test]
    fn subjects_show_no_data() {
        assert_eq!(
            subject("INSERT INTO public.a VALUES (1, 'x')"),
            "INSERT INTO public.a VALUES"
        );
    }

    #[test]
    fn subjects_name_the_object() {
        let statement = "CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public";
        assert_eq!(subject(statement), "CREATE EXTENSION pg_trgm WITH");
    }

    #[test]
    fn values_are_not_told() {
        let message = "COPY failed for table \"t\": ERROR:  invalid input syntax for type \
                       integer: \"secret\"";
        assert!(!redacted(message).contains("secret"));
        let near = "syntax error at or near \"secret\"";
        assert!(!redacted(near).contains("secret"));
    }
}
