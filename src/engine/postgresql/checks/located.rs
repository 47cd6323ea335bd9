//! Naming the row that differs, from the key that the digests gave.

use std::collections::BTreeMap;

use crate::{
    domain::{
        failure::Failure,
        fingerprint::{Difference, Fingerprint},
        ids::RunId,
    },
    engine::postgresql::{endpoint::Endpoint, session::Session},
};

/// The columns of the primary key, quoted, in its own order.
const KEY: &str = "\
    select coalesce(array_agg(quote_ident(a.attname) order by array_position(i.indkey::int2[], a.attnum)), '{}') \
    from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey) \
    where i.indisprimary and i.indrelid = to_regclass($1::text)";

/// How many rows may share the 32 bits of a key before none is named.
const MOST: usize = 3;

/// For each table with one located row, what to call it: `id = 4711`.
///
/// # Errors
/// If the copy can't be read.
pub(super) async fn names(
    endpoint: &Endpoint,
    run: RunId,
    source: &Fingerprint,
    differences: &BTreeMap<String, Difference>,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut names = BTreeMap::new();
    let located = differences
        .iter()
        .filter_map(|(name, difference)| match difference {
            Difference::Changed {
                located: Some(key), ..
            } => Some((name, *key)),
            _ => None,
        });
    let mut session = None;
    for (table, key) in located {
        let weighted = source
            .tables
            .get(table)
            .and_then(|table| table.weighted.as_ref());
        let Some(weighted) = weighted else { continue };
        if session.is_none() {
            session = Some(Session::open(endpoint, run).await?);
        }
        let Some(session) = &session else { continue };
        if let Some(text) = name(session, table, &weighted.key, key).await? {
            names.insert(table.clone(), text);
        }
    }
    Ok(names)
}

async fn name(
    session: &Session,
    table: &str,
    expression: &str,
    key: u32,
) -> Result<Option<String>, Failure> {
    let doing = "look up the row that differs";
    let columns: Vec<String> = session.row(doing, KEY, &[&table]).await?.get(0);
    if columns.is_empty() {
        return Ok(None);
    }
    let parts: Vec<String> = columns
        .iter()
        .map(|column| format!("'{} = ' || t.{column}::text", column.replace('\'', "''")))
        .collect();
    let sql = format!(
        "select {} from only {table} t where {expression} = {key} limit {}",
        parts.join(" || ', ' || "),
        MOST + 1
    );
    let rows = session.rows(doing, &sql, &[]).await?;
    if rows.len() > MOST {
        return Ok(None);
    }
    let found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    if !found.is_empty() {
        return Ok(Some(found.join(" or ")));
    }
    // The row is not in the copy. A whole number below 2^32 is the key itself.
    let whole = columns.len() == 1 && expression.ends_with("::int8 & 4294967295)");
    Ok(whole.then(|| format!("{} = {key}, which is not in the copy", columns[0])))
}
