//! Roles and their settings, before anything that belongs to them.

use super::{Work, split::Splitter};
use crate::{
    domain::{
        check::Finding,
        failure::{Failure, FailureKind},
    },
    engine::postgresql::{error::failure, fetch, globals::Globals, session::Session},
};

/// What `CREATE ROLE` gives for a role that is there: from an earlier attempt.
const DUPLICATE_OBJECT: &str = "42710";

/// Nearly every server that one would restore into has it from the start, so
/// a dump that brings no roles may count on it.
const USUAL_SUPERUSER: &str = "CREATE ROLE postgres SUPERUSER";

/// Makes the roles of a fresh dump, or those of the globals file.
pub(super) async fn make(work: &Work<'_>, session: &Session) -> Result<Vec<Finding>, Failure> {
    if let Some(globals) = Globals::beside(work.point.artifact.path()?)? {
        return apply(session, globals.statements()).await;
    }
    let mut findings = apply(session, vec![USUAL_SUPERUSER.to_owned()]).await?;
    let Some(path) = fetch::globals(work.engine, work.point.artifact.path()?) else {
        return Ok(findings);
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::new(
            FailureKind::NotFound,
            format!("cannot read the globals file {}: {error}", path.display()),
        )
    })?;
    let (wanted, skipped) = of_roles(&text);
    if skipped > 0 {
        work.cx.note(format!(
            "{skipped} statements of the globals file are about something else than roles: skipped"
        ));
    }
    findings.extend(apply(session, wanted).await?);
    Ok(findings)
}

/// What `ALTER DATABASE … SET` and the like left, and the owner.
pub(super) async fn settings(work: &Work<'_>, session: &Session) -> Result<Vec<Finding>, Failure> {
    match Globals::beside(work.point.artifact.path()?)? {
        Some(globals) => {
            let statements = globals.database_statements(&work.cluster.database);
            apply(session, statements).await
        }
        None => Ok(Vec::new()),
    }
}

/// Runs them one by one; an error is a finding, the loss of the server is not.
async fn apply(session: &Session, statements: Vec<String>) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for statement in statements {
        let Err(error) = session.client().batch_execute(&statement).await else {
            continue;
        };
        let Some(db) = error.as_db_error() else {
            return Err(failure("make the roles", &error));
        };
        if db.code().code() != DUPLICATE_OBJECT {
            let subject: Vec<_> = statement.split_whitespace().take(3).collect();
            findings.push(Finding::error(subject.join(" "), db.message()));
        }
    }
    Ok(findings)
}

/// The statements about roles, without passwords, and how many others there
/// are that are more than settings of a session.
fn of_roles(text: &str) -> (Vec<String>, usize) {
    let mut splitter = Splitter::default();
    let mut statements = Vec::new();
    for line in text.lines() {
        if !(splitter.is_between() && line.starts_with('\\')) {
            statements.extend(splitter.line(&format!("{line}\n")).statements);
        }
    }
    let (mut wanted, mut skipped) = (Vec::new(), 0);
    for statement in statements {
        let words: Vec<_> = statement.split_whitespace().take(3).collect();
        match words.as_slice() {
            ["CREATE" | "ALTER", "ROLE", ..] | ["GRANT", ..] | ["COMMENT", "ON", "ROLE"] => {
                wanted.push(without_password(&statement));
            }
            ["SET", ..] | [] => {}
            _ => skipped += 1,
        }
    }
    (wanted, skipped)
}

/// Cuts `PASSWORD '…'` and `PASSWORD NULL` out, outside of quotes.
fn without_password(statement: &str) -> String {
    let mut out = String::with_capacity(statement.len());
    let mut rest = statement;
    while let Some(c) = rest.chars().next() {
        if c == '\'' || c == '"' {
            let end = quoted_end(rest, c);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if let Some(after) = rest.strip_prefix(" PASSWORD ") {
            let end = if after.starts_with('\'') {
                quoted_end(after, '\'')
            } else {
                after.find([' ', ';']).unwrap_or(after.len())
            };
            rest = &after[end..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Where a quoted text that `rest` begins with ends; a doubled quote ends one
/// and begins the next, which comes to the same.
fn quoted_end(rest: &str, quote: char) -> usize {
    let mut from = 1;
    loop {
        let Some(end) = rest[from..].find(quote).map(|at| from + at + 1) else {
            return rest.len();
        };
        if !rest[end..].starts_with(quote) {
            return end;
        }
        from = end + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_roles_without_their_passwords() {
        let text = "\\restrict x\nSET client_encoding = 'UTF8';\n-- Roles\nCREATE ROLE ann;\n\
                    ALTER ROLE ann WITH LOGIN PASSWORD 'SCRAM;''x' VALID UNTIL 'infinity';\n\
                    CREATE TABLESPACE t LOCATION '/x';\nGRANT a TO b;\n";
        let (wanted, skipped) = of_roles(text);
        assert_eq!(skipped, 1);
        assert_eq!(wanted.len(), 3, "{wanted:?}");
        assert_eq!(
            wanted[1].trim().trim_end_matches(';'),
            "ALTER ROLE ann WITH LOGIN VALID UNTIL 'infinity'"
        );
        assert_eq!(
            without_password("COMMENT ON ROLE a IS 'x PASSWORD ''y'"),
            "COMMENT ON ROLE a IS 'x PASSWORD ''y'"
        );
    }
}
