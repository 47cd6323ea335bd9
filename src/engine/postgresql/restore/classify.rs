//! What the errors of a loader mean. None is ever ignored.

use std::{os::unix::process::ExitStatusExt, path::Path};

use crate::{
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
    },
    engine::postgresql::cluster::log_tail,
    process::Finished,
};

/// The errors of a `pg_restore` that ended.
///
/// # Errors
/// If the archive itself cannot be read, or the machinery broke.
pub(super) fn archive(finished: &Finished, log: &Path) -> Result<Vec<Finding>, Failure> {
    if let Some(signal) = finished.status.signal() {
        return Err(Failure::new(
            FailureKind::Internal,
            format!("pg_restore was killed by signal {signal}"),
        )
        .diagnosis(finished.stderr.clone()));
    }
    let findings = errors(&finished.stderr, "pg_restore: error: ");
    let ignored = finished.stderr.iter().find_map(|line| {
        line.strip_prefix("pg_restore: warning: errors ignored on restore: ")?
            .parse()
            .ok()
    });
    if finished.status.success() && findings.is_empty() {
        return Ok(findings);
    }
    if let Some(failure) = fatal(&finished.stderr, log) {
        return Err(failure);
    }
    match ignored {
        // Only the last lines are kept, so there may be more than are listed.
        Some(count) if findings.len() < count => {
            let mut findings = findings;
            let hidden = count - findings.len();
            findings.push(Finding::error(
                "pg_restore",
                format!("{hidden} further errors"),
            ));
            Ok(findings)
        }
        Some(_) => Ok(findings),
        None => Err(Failure::new(
            FailureKind::BadBackup,
            format!(
                "pg_restore gave up: {}",
                findings
                    .first()
                    .map_or("no message", |finding| finding.message.as_str())
            ),
        )
        .diagnosis(finished.stderr.clone())),
    }
}

/// Errors that end a restore, whatever else was loaded.
fn fatal(stderr: &[String], log: &Path) -> Option<Failure> {
    let has = |fragment: &str| stderr.iter().find(|line| line.contains(fragment));
    let broken = [
        "could not read from input file",
        "unexpected end of file",
        "could not open input file",
        "could not uncompress data",
        "corrupt",
    ];
    if let Some(line) = has("No space left on device").or_else(|| has("could not extend file")) {
        return Some(
            Failure::new(
                FailureKind::Exhausted,
                format!("the sandbox is full: {line}"),
            )
            .hint("choose a roomier spec.sandbox.local.directory"),
        );
    }
    let gone = [
        "server closed the connection",
        "terminating connection",
        "Connection refused",
    ];
    if let Some(line) = gone.iter().find_map(|fragment| has(fragment)) {
        return Some(
            Failure::new(
                FailureKind::Unavailable,
                format!("the scratch server went away: {line}"),
            )
            .diagnosis(log_tail(log)),
        );
    }
    let line = broken.iter().find_map(|fragment| has(fragment))?;
    Some(
        Failure::new(
            FailureKind::BadBackup,
            format!("the backup cannot be read: {line}"),
        )
        .diagnosis(stderr.to_vec()),
    )
}

/// One finding per error; the lines that follow one say which object it is.
pub(super) fn errors(stderr: &[String], prefix: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut entry: Option<&str> = None;
    for line in stderr {
        if let Some(rest) = line
            .split_once("; from TOC entry ")
            .or(line.split_once("from TOC entry "))
        {
            entry = Some(rest.1);
        }
        let Some(message) = line.strip_prefix(prefix) else {
            continue;
        };
        let message = message
            .strip_prefix("could not execute query: ")
            .unwrap_or(message)
            .trim_start_matches("ERROR:")
            .trim();
        let subject = entry.map_or("the dump", subject).to_owned();
        findings.push(explain(subject, message));
    }
    findings
}

/// `3365; 1259 16392 TABLE t ann` without its numbers and owner.
fn subject(entry: &str) -> &str {
    entry.splitn(4, ' ').nth(3).unwrap_or(entry)
}

fn explain(subject: String, message: &str) -> Finding {
    let finding = Finding::error(subject, message);
    let hints = [
        (
            "role \"",
            "the role is not in the backup: name its globals under spec.recoveryPoint",
        ),
        (
            "extension \"",
            "install the extension's package on the machine of the drill",
        ),
        (
            "could not open extension control file",
            "install the extension's package on the machine of the drill",
        ),
        (
            "could not access file",
            "install the library's package on the machine of the drill",
        ),
        ("duplicate key", "the data itself violates the constraint"),
        ("violates", "the data itself violates the constraint"),
        (
            "unrecognized configuration parameter",
            "the dump is of a newer major version",
        ),
    ];
    match hints
        .iter()
        .find(|(fragment, _)| message.contains(fragment))
    {
        Some((_, hint)) => finding.hint(*hint),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_object_and_what_to_do() {
        let stderr: Vec<String> = [
            "pg_restore: while PROCESSING TOC:",
            "pg_restore: from TOC entry 217; 1259 16389 TABLE t ann",
            "pg_restore: error: could not execute query: ERROR:  role \"ann\" does not exist",
            "Command was: ALTER TABLE public.t OWNER TO ann;",
        ]
        .map(str::to_owned)
        .to_vec();
        let findings = errors(&stderr, "pg_restore: error: ");
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].subject, "TABLE t ann");
        assert_eq!(findings[0].message, "role \"ann\" does not exist");
        assert!(findings[0].hint.is_some());
    }
}
