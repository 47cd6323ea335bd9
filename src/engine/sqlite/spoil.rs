//! Spoiling a copy on purpose, to show that the checks would notice.

use std::{
    fs::OpenOptions,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

use rusqlite::{Connection, config::DbConfig, types::Value};

use super::{
    SqliteEngine,
    connection::{failure, pragma, quote, read_write},
    fingerprint::{self, Table},
    restore,
};
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::{Context, Fault, Instance},
};

pub(super) fn spoil(
    engine: &SqliteEngine,
    cx: &Context,
    faults: &[Fault],
    instance: &Instance,
) -> Result<Vec<String>, Failure> {
    let file = restore::file(instance)?;
    // The index last: its damage might get into the way of the others.
    let mut ordered = faults.to_vec();
    ordered.sort_by_key(|fault| *fault == Fault::Index);
    let spoil = |fault| match fault {
        Fault::RowByte => row_byte(engine, cx, &file),
        Fault::CanaryWrite => canary_write(engine, cx, &file),
        Fault::Index => index(engine, cx, &file),
    };
    ordered.into_iter().map(spoil).collect()
}

fn nothing(what: &str) -> Failure {
    Failure::new(
        FailureKind::Invalid,
        format!("the copy has no {what} that could be spoilt"),
    )
}

fn open(cx: &Context, file: &Path) -> Result<Connection, Failure> {
    let connection = read_write(cx, file)?;
    // A trigger would spoil more than what is told.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)
        .map_err(|error| failure("spoil", &error))?;
    Ok(connection)
}

fn row_byte(engine: &SqliteEngine, cx: &Context, file: &Path) -> Result<String, Failure> {
    let doing = |error: rusqlite::Error| failure("spoil a row", &error);
    let connection = open(cx, file)?;
    connection
        .pragma_update(None, "foreign_keys", false)
        .map_err(doing)?;
    let tables = fingerprint::tables(&connection, &engine.left_out()).map_err(doing)?;
    for table in tables.iter().filter(|table| !table.key.is_empty()) {
        for column in plain_columns(&connection, table).map_err(doing)? {
            if let Some(told) = change(&connection, table, &column).map_err(doing)? {
                return Ok(told);
            }
        }
    }
    Err(nothing("row"))
}

/// Columns that are neither generated nor part of a key, a foreign key or a
/// parent key, so that one byte is one fault.
fn plain_columns(connection: &Connection, table: &Table) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "select name from pragma_table_xinfo(?1) where hidden = 0 and pk = 0 \
         and exists (select 1 from pragma_table_list(?1) l where l.type = 'table') \
         and name not in (select \"from\" from pragma_foreign_key_list(?1)) \
         and name not in (select c.name from pragma_index_list(?1) i, pragma_index_info(i.name) c \
                          where c.name is not null)",
    )?;
    let rows = statement.query_map([&table.name], |row| row.get(0))?;
    rows.collect()
}

fn change(
    connection: &Connection,
    table: &Table,
    column: &str,
) -> rusqlite::Result<Option<String>> {
    let (column, name) = (quote(column), table.quoted());
    let keys = table.key.join(", ");
    let sql = format!(
        "select {column}, {keys} from main.{name} not indexed \
         where typeof({column}) in ('text', 'blob', 'integer') and length({column}) > 0 limit 1"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let value = row.get::<_, Value>(0).map(flip)?;
    let mut values = vec![value];
    for at in 0..table.key.len() {
        values.push(row.get(at + 1)?);
    }
    drop(rows);
    let places = table
        .key
        .iter()
        .enumerate()
        .map(|(at, key)| format!("{key} = ?{}", at + 2));
    let places: Vec<_> = places.collect();
    let update = format!(
        "update main.{name} set {column} = ?1 where {}",
        places.join(" and ")
    );
    // A constraint may forbid it: then another column is tried.
    match connection.execute(&update, rusqlite::params_from_iter(&values)) {
        Ok(1) => Ok(Some(format!(
            "one byte changed in column {column} of one row of table {name}"
        ))),
        _ => Ok(None),
    }
}

fn flip(value: Value) -> Value {
    match value {
        Value::Integer(number) => Value::Integer(number ^ 1),
        Value::Text(text) => {
            let mut chars: Vec<char> = text.chars().collect();
            if let Some(last) = chars.last_mut() {
                *last = if *last == 'x' { 'y' } else { 'x' };
            }
            Value::Text(chars.into_iter().collect())
        }
        Value::Blob(mut bytes) => {
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
            }
            Value::Blob(bytes)
        }
        other => other,
    }
}

fn canary_write(engine: &SqliteEngine, cx: &Context, file: &Path) -> Result<String, Failure> {
    let doing = |error: rusqlite::Error| failure("spoil the canary", &error);
    let canary = engine.canary.as_ref().ok_or_else(|| nothing("canary"))?;
    let table = quote(&canary.table);
    let connection = open(cx, file)?;
    let run = cx.run.to_string();
    let mut statement = connection
        .prepare(&format!(
            "select sequence from main.{table} where run = ?1 order by sequence"
        ))
        .map_err(doing)?;
    let rows = statement
        .query_map([&run], |row| row.get::<_, i64>(0))
        .map_err(doing)?;
    let all: Vec<i64> = rows.collect::<Result<_, _>>().map_err(doing)?;
    let middle = all
        .get(all.len() / 2)
        .ok_or_else(|| nothing("canary write"))?;
    connection
        .execute(
            &format!("delete from main.{table} where sequence = ?1"),
            [middle],
        )
        .map_err(doing)?;
    Ok(format!("canary write {middle} deleted"))
}

/// Counts one byte too many as fragmented in the header of the index's root
/// page: `quick_check` and `integrity_check` name it, and no content changes.
fn index(engine: &SqliteEngine, cx: &Context, file: &Path) -> Result<String, Failure> {
    let doing = |error: rusqlite::Error| failure("spoil an index", &error);
    let connection = open(cx, file)?;
    connection
        .query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))
        .map_err(doing)?;
    let left_out = engine
        .canary
        .as_ref()
        .map_or("", |canary| canary.table.as_str());
    let found = connection.query_row(
        "select name, rootpage from main.sqlite_schema where type = 'index' and rootpage > 0 \
         and tbl_name <> ?1 order by name like 'sqlite\\_%' escape '\\', name limit 1",
        [left_out],
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?.unsigned_abs(),
            ))
        },
    );
    let (name, root) = found.map_err(|_| nothing("index"))?;
    let page_size: u64 = pragma(&connection, "page_size")
        .map_err(doing)?
        .parse()
        .unwrap_or(4096);
    drop(connection);
    // The fragmented bytes are counted at offset 7 of a page's header.
    let at = (root - 1) * page_size + 7;
    bump(file, at).map_err(|error| {
        Failure::new(FailureKind::Unavailable, format!("spoil an index: {error}"))
    })?;
    Ok(format!(
        "one byte changed in the root page of index {}",
        quote(&name)
    ))
}

fn bump(file: &Path, at: u64) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(file)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&[byte[0].wrapping_add(1)])
}
