//! Which rows differ between two databases, by key.

use rusqlite::{Connection, types::Value};
use xxhash_rust::xxh3::Xxh3Default as Hasher;

use super::{
    fingerprint::{Table, row_hash},
    query,
};
use crate::engine::Context;

/// Rows that are named.
const MAX_NAMED: usize = 5;
/// Characters of a key that are shown.
const MAX_KEY: usize = 60;

/// Names the first rows of `table` that are missing, extra or changed in
/// `copy`. Looks every key up on the other side: no order, no memory.
pub(super) fn rows(
    cx: &Context,
    backup: &Connection,
    copy: &Connection,
    table: &Table,
) -> rusqlite::Result<Vec<String>> {
    let mut named = Vec::new();
    if table.key.is_empty() {
        return Ok(named);
    }
    scan(cx, (backup, copy), table, &mut |key, there| match there {
        Other::Absent => named.push(format!("row {key} is missing")),
        Other::Differs => named.push(format!("row {key} is changed")),
    })?;
    let room = MAX_NAMED.saturating_sub(named.len());
    let mut extra = Vec::new();
    scan(cx, (copy, backup), table, &mut |key, there| {
        if matches!(there, Other::Absent) {
            extra.push(format!("row {key} is extra"));
        }
    })?;
    named.extend(extra.into_iter().take(room));
    Ok(named)
}

enum Other {
    Absent,
    Differs,
}

fn scan(
    cx: &Context,
    (from, to): (&Connection, &Connection),
    table: &Table,
    tell: &mut dyn FnMut(String, Other),
) -> rusqlite::Result<()> {
    let conditions: Vec<_> = table
        .key
        .iter()
        .enumerate()
        .map(|(at, key)| format!("{key} = ?{}", at + 1))
        .collect();
    let lookup = format!("{} where {}", table.select(), conditions.join(" and "));
    let (mut all, mut one) = (
        from.prepare(&format!("{} not indexed", table.select()))?,
        to.prepare(&lookup)?,
    );
    let (mut cursor, mut hasher, mut told) = (all.query([])?, Hasher::new(), 0);
    while let Some(row) = cursor.next()? {
        if told == MAX_NAMED || cx.cancel.is_cancelled() {
            break;
        }
        let key: Vec<Value> = (0..table.key.len())
            .map(|at| row.get(at))
            .collect::<rusqlite::Result<_>>()?;
        let ours = row_hash(row, table, &mut hasher)?;
        let mut found = one.query(rusqlite::params_from_iter(&key))?;
        let other = match found.next()? {
            None => Other::Absent,
            Some(theirs) if row_hash(theirs, table, &mut hasher)? != ours => Other::Differs,
            Some(_) => continue,
        };
        told += 1;
        tell(shown(&key), other);
    }
    Ok(())
}

fn shown(key: &[Value]) -> String {
    let parts: Vec<_> = key
        .iter()
        .map(|v| query::text(v).unwrap_or("null".into()))
        .collect();
    parts.join(", ").chars().take(MAX_KEY).collect()
}
