//! SQLite's own checks: one finding for each object that has faults.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::{domain::check::Finding, spec::drill::Integrity};

/// What `integrity_check` or `quick_check` says, by object.
pub(super) fn check(connection: &Connection, depth: Integrity) -> rusqlite::Result<Vec<Finding>> {
    let sql = match depth {
        Integrity::Off => return Ok(Vec::new()),
        Integrity::Quick => "pragma main.quick_check",
        Integrity::Full => "pragma main.integrity_check",
    };
    let trees = trees(connection)?;
    let mut by_object: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    loop {
        match rows.next() {
            Ok(Some(row)) => {
                let message: String = row.get(0)?;
                for line in message
                    .lines()
                    .filter(|line| *line != "ok" && !line.starts_with("***"))
                {
                    by_object
                        .entry(object(line, &trees))
                        .or_default()
                        .push(line.to_owned());
                }
            }
            // After faults were told, the error that ended the check is theirs.
            Err(error) if by_object.is_empty() => return Err(error),
            Ok(None) | Err(_) => break,
        }
    }
    let finding = |(subject, lines): (String, Vec<String>)| {
        let more = lines.len().saturating_sub(1);
        let first = lines.into_iter().next().unwrap_or_default();
        let rest = if more > 0 {
            format!(" (and {more} more)")
        } else {
            String::new()
        };
        Finding::error(subject, format!("{first}{rest}"))
    };
    Ok(by_object.into_iter().map(finding).collect())
}

/// Objects by the root page that names their b-tree in messages.
fn trees(connection: &Connection) -> rusqlite::Result<BTreeMap<i64, String>> {
    let mut statement = connection.prepare(
        "select rootpage, type || ' ' || name from main.sqlite_schema where rootpage > 0",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn object(message: &str, trees: &BTreeMap<i64, String>) -> String {
    if let Some((_, index)) = message.rsplit_once(" index ") {
        return format!("index {index}");
    }
    message
        .strip_prefix("Tree ")
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .and_then(|root: i64| trees.get(&root).cloned())
        .unwrap_or_else(|| "database".to_owned())
}

/// Rows without their parent, one finding for each foreign key.
pub(super) fn foreign_keys(connection: &Connection) -> rusqlite::Result<Vec<Finding>> {
    let mut by_key: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut statement = connection.prepare("pragma main.foreign_key_check")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        *by_key.entry((row.get(0)?, row.get(2)?)).or_default() += 1;
    }
    let finding = |((table, parent), count)| {
        Finding::error(
            format!("table {table}"),
            format!("{count} rows refer to rows of {parent} that are not there"),
        )
    };
    Ok(by_key.into_iter().map(finding).collect())
}
