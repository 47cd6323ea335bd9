//! The fingerprint: every row read and hashed, whatever its layout.

use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use rusqlite::{Connection, Row, types::ValueRef};
use xxhash_rust::xxh3::Xxh3Default as Hasher;

use super::connection::{failure, go_on, lift_limit, quote, read_only};
use crate::{
    domain::{
        event::Unit,
        failure::{Failure, FailureKind},
        fingerprint::{Fingerprint, SequenceBounds, TableFingerprint, Weighted},
    },
    engine::Context,
};

/// Names the hash and its input.
pub(super) const ALGORITHM: &str = "sqlite-xxh3-v1";
const LOW_31_BITS: u64 = 0x7fff_ffff;
const LOW_32_BITS: u64 = 0xffff_ffff;
const ROWS_PER_LOOK: u64 = 4096;

/// How a table's rows are read and named.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub name: String,
    /// Quoted columns; virtual generated ones follow from the others.
    pub columns: Vec<String>,
    /// What a row is named by: the rowid or the primary key, as expressions.
    /// Empty where nothing can name it.
    pub key: Vec<String>,
}

impl Table {
    /// Key expressions first, then all columns.
    pub(super) fn select(&self) -> String {
        let all: Vec<_> = self
            .key
            .iter()
            .chain(&self.columns)
            .map(String::as_str)
            .collect();
        format!("select {} from main.{}", all.join(", "), quote(&self.name))
    }

    /// The name in fingerprints and findings.
    pub(super) fn quoted(&self) -> String {
        quote(&self.name)
    }
}

/// The tables that hold data, but for the canary's and the excluded ones.
/// Virtual tables have none of their own; their shadow tables are tables.
pub(super) fn tables(connection: &Connection, exclude: &[String]) -> rusqlite::Result<Vec<Table>> {
    let mut statement = connection.prepare(
        "select name, wr from pragma_table_list where schema = 'main' \
         and type in ('table', 'shadow') and name not like 'sqlite\\_%' escape '\\' order by name",
    )?;
    let listed = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    let listed: Vec<(String, bool)> = listed.collect::<Result<_, _>>()?;
    let kept = listed
        .into_iter()
        .filter(|(name, _)| !exclude.contains(name));
    kept.map(|(name, without_rowid)| table(connection, name, without_rowid))
        .collect()
}

fn table(connection: &Connection, name: String, without_rowid: bool) -> rusqlite::Result<Table> {
    let mut statement = connection.prepare(
        "select name, pk, hidden from pragma_table_xinfo(?1) where hidden <> 1 order by cid",
    )?;
    let mut rows = statement.query([&name])?;
    let (mut columns, mut key, mut taken) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let (column, pk, hidden): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        taken.push(column.to_ascii_lowercase());
        if pk > 0 {
            key.push((pk, quote(&column)));
        }
        if hidden != 2 {
            columns.push(quote(&column));
        }
    }
    key.sort();
    let key = if without_rowid {
        key.into_iter().map(|(_, column)| column).collect()
    } else {
        // A column may take the name of the rowid away.
        let alias = ["rowid", "_rowid_", "oid"].into_iter();
        let mut free = alias.filter(|alias| !taken.iter().any(|name| name == alias));
        free.next().map(str::to_owned).into_iter().collect()
    };
    Ok(Table { name, columns, key })
}

/// Takes the fingerprint of all tables on one connection; within its
/// transaction, if one is open. A table that can't be read is untested.
pub(super) fn take(
    cx: &Context,
    connection: &Connection,
    tables: &[Table],
) -> Result<Fingerprint, Failure> {
    let mut all = Fingerprint {
        algorithm: ALGORITHM.to_owned(),
        ..Fingerprint::default()
    };
    for (done, table) in tables.iter().enumerate() {
        let digest = digest(cx, connection, table);
        // A digest that was broken off is none.
        go_on(cx)?;
        match digest {
            Ok(digest) => {
                all.tables.insert(table.quoted(), digest);
            }
            Err(error) => {
                all.untested.insert(table.quoted(), error.to_string());
            }
        }
        cx.progress(
            "fingerprints",
            done as u64 + 1,
            tables.len() as u64,
            Unit::Items,
        );
    }
    // A few rows: read even if the time for the tables is used up.
    lift_limit(cx, connection).map_err(|error| failure("read sequences", &error))?;
    all.sequences = sequences(connection).map_err(|error| failure("read sequences", &error))?;
    Ok(all)
}

/// Below this many bytes, threads cost more than they save.
const PARALLEL_FROM: u64 = 16 << 20;

/// Takes the fingerprint of a file that nobody writes: on `connection`, and a
/// large one on up to `jobs` connections, table by table.
pub(super) fn take_parallel(
    cx: &Context,
    (connection, file): (&Connection, &Path),
    tables: &[Table],
    jobs: u16,
) -> Result<Fingerprint, Failure> {
    let jobs = usize::from(jobs).min(tables.len());
    let small = std::fs::metadata(file).is_ok_and(|file| file.len() < PARALLEL_FROM);
    if small || jobs < 2 {
        return take(cx, connection, tables);
    }
    let next = AtomicUsize::new(0);
    let work = || -> Result<Fingerprint, Failure> {
        let connection = read_only(cx, file)?;
        let mut all = Fingerprint {
            algorithm: ALGORITHM.to_owned(),
            ..Fingerprint::default()
        };
        while let Some(table) = tables.get(next.fetch_add(1, Ordering::Relaxed)) {
            let one = take(cx, &connection, std::slice::from_ref(table))?;
            all.tables.extend(one.tables);
            all.untested.extend(one.untested);
            all.sequences = one.sequences;
        }
        Ok(all)
    };
    let parts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect()
    });
    let mut all = Fingerprint {
        algorithm: ALGORITHM.to_owned(),
        ..Fingerprint::default()
    };
    for part in parts {
        let died = |_| {
            Err(Failure::new(
                FailureKind::Internal,
                "a fingerprint thread died",
            ))
        };
        let part = part.unwrap_or_else(died)?;
        all.tables.extend(part.tables);
        all.untested.extend(part.untested);
        all.sequences.extend(part.sequences);
    }
    Ok(all)
}

fn digest(
    cx: &Context,
    connection: &Connection,
    table: &Table,
) -> rusqlite::Result<TableFingerprint> {
    let mut statement = connection.prepare(&format!("{} not indexed", table.select()))?;
    let mut cursor = statement.query([])?;
    let mut found = TableFingerprint {
        rows: 0,
        sum: 0,
        weighted: None,
        row_hash: None,
    };
    let mut weighted = 0_i128;
    let mut hasher = Hasher::new();
    while let Some(row) = cursor.next()? {
        let hash = row_hash(row, table, &mut hasher)?;
        found.rows += 1;
        found.sum += i128::from(hash.cast_signed());
        weighted += i128::from(hash & LOW_31_BITS) * i128::from(weight(row, table)?);
        if found.rows.is_multiple_of(ROWS_PER_LOOK) && cx.cancel.is_cancelled() {
            break;
        }
    }
    if !table.key.is_empty() {
        let key = table.key.join(", ");
        found.weighted = Some(Weighted { sum: weighted, key });
    }
    Ok(found)
}

/// The hash of the columns of a row of [`Table::select`].
pub(super) fn row_hash(row: &Row<'_>, table: &Table, hasher: &mut Hasher) -> rusqlite::Result<u64> {
    hasher.reset();
    for at in table.key.len()..table.key.len() + table.columns.len() {
        encode(row.get_ref(at)?, hasher);
    }
    Ok(hasher.digest())
}

fn weight(row: &Row<'_>, table: &Table) -> rusqlite::Result<u64> {
    if let [_] = table.key.as_slice()
        && let ValueRef::Integer(rowid) = row.get_ref(0)?
    {
        return Ok(rowid.cast_unsigned() & LOW_32_BITS);
    }
    let mut hasher = Hasher::new();
    for at in 0..table.key.len() {
        encode(row.get_ref(at)?, &mut hasher);
    }
    Ok(hasher.digest() & LOW_32_BITS)
}

/// Type tag, length, bytes: no two rows have one encoding.
fn encode(value: ValueRef<'_>, hasher: &mut Hasher) {
    let mut put = |tag: u8, bytes: &[u8]| {
        hasher.update(&[tag]);
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    match value {
        ValueRef::Null => put(0, &[]),
        ValueRef::Integer(number) => put(1, &number.to_le_bytes()),
        // SQLite itself does not keep minus zero apart (it stores an integer).
        ValueRef::Real(number) => put(2, &(number + 0.0).to_bits().to_le_bytes()),
        ValueRef::Text(bytes) => put(3, bytes),
        ValueRef::Blob(bytes) => put(4, bytes),
    }
}

/// `sqlite_sequence` is part of the snapshot, so the bounds are one number.
fn sequences(
    connection: &Connection,
) -> rusqlite::Result<std::collections::BTreeMap<String, SequenceBounds>> {
    let exists: bool = connection.query_row(
        "select exists (select 1 from main.sqlite_schema where name = 'sqlite_sequence')",
        [],
        |row| row.get(0),
    )?;
    if !exists {
        return Ok(std::collections::BTreeMap::new());
    }
    let mut statement =
        connection.prepare("select name, cast(seq as integer) from main.sqlite_sequence")?;
    let rows = statement.query_map([], |row| {
        let name = format!("sequence of {}", quote(&row.get::<_, String>(0)?));
        let at: i64 = row.get::<_, Option<i64>>(1)?.unwrap_or(0);
        Ok((
            name,
            SequenceBounds {
                low: at,
                high: at,
                descending: false,
            },
        ))
    })?;
    rows.collect()
}
