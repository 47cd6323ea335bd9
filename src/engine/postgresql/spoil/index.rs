//! One index, damaged in its file.
//!
//! The server must not hold the page in memory, or it would go on using that
//! one and write it back some day. So the index is rebuilt first: building a
//! B-tree writes its pages past the server's buffers straight into a new file,
//! and a checkpoint makes sure of it. Then two entries of its first leaf
//! change places. With data checksums the page is invalid after that; without
//! them its entries are out of order. Either is reported for this very index.

use std::{
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

use crate::{
    domain::failure::{Failure, FailureKind},
    engine::postgresql::session::Session,
};

const DOING: &str = "damage an index";

/// The first leaf of a freshly built B-tree: after its metapage.
const FIRST_LEAF: u64 = 1;

/// Where the page header says how far the array of entries reaches, and where
/// that array begins (PostgreSQL's `PageHeaderData`).
const LOWER: usize = 12;
const ENTRIES: usize = 24;
const ENTRY: usize = 4;

/// Indexes that no other check reads: secondary ones before those of
/// constraints, the largest first.
const CANDIDATES: &str = "
    SELECT format('%I.%I', n.nspname, i.relname), format('%I.%I', m.nspname, c.relname)
    FROM pg_index x
    JOIN pg_class i ON i.oid = x.indexrelid
    JOIN pg_class c ON c.oid = x.indrelid
    JOIN pg_namespace n ON n.oid = i.relnamespace
    JOIN pg_namespace m ON m.oid = c.relnamespace
    JOIN pg_am a ON a.oid = i.relam
    WHERE a.amname = 'btree' AND i.relkind = 'i' AND c.relkind IN ('r', 'm')
        AND i.relpersistence = 'p' AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL
        AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        AND format('%I.%I', m.nspname, c.relname) IS DISTINCT FROM $1
    ORDER BY x.indisunique, i.relpages DESC, i.oid
    LIMIT 200";

/// Damages the best candidate whose table has rows enough.
///
/// # Errors
/// If there is none, or its file can't be written.
pub(super) async fn damage(
    session: &Session,
    data_directory: &Path,
    canary: Option<&str>,
) -> Result<String, Failure> {
    for candidate in session.rows(DOING, CANDIDATES, &[&canary]).await? {
        let (index, table): (String, String) = (candidate.get(0), candidate.get(1));
        let sql = format!("SELECT count(*) FROM (SELECT FROM {table} LIMIT 4) t");
        if session.row(DOING, &sql, &[]).await?.get::<_, i64>(0) < 4 {
            continue;
        }
        session
            .batch(DOING, &format!("REINDEX INDEX {index}"))
            .await?;
        session.batch(DOING, "CHECKPOINT").await?;
        let sql = "SELECT pg_relation_filepath($1::text::regclass), \
                   current_setting('block_size')::int";
        let row = session.row(DOING, sql, &[&index]).await?;
        let file = data_directory.join(row.get::<_, String>(0));
        let size = usize::try_from(row.get::<_, i32>(1)).unwrap_or(8192);
        let swapped = tokio::task::spawn_blocking(move || swap_entries(&file, size)).await;
        match swapped {
            Ok(Ok(true)) => {
                return Ok(format!(
                    "swapped two entries in the first leaf page of index {index}"
                ));
            }
            // All entries are one list: nothing to swap.
            Ok(Ok(false)) => {}
            Ok(Err(error)) => return Err(unwritable(&index, &error)),
            Err(error) => return Err(Failure::new(FailureKind::Internal, error.to_string())),
        }
    }
    Err(super::nothing_to(
        "damage",
        "no B-tree index with rows enough",
    ))
}

fn unwritable(index: &str, error: &std::io::Error) -> Failure {
    let message = format!("cannot damage the file of index {index}: {error}");
    Failure::new(FailureKind::Denied, message)
}

/// Swaps the second and third entry of the first leaf (the first may be the
/// page's upper bound). `false` where there are not so many.
fn swap_entries(file: &Path, page_size: usize) -> std::io::Result<bool> {
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)?;
    let offset = FIRST_LEAF * page_size as u64;
    let mut page = vec![0; page_size];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut page)?;
    let lower = usize::from(u16::from_ne_bytes([page[LOWER], page[LOWER + 1]]));
    if lower < ENTRIES + 3 * ENTRY || lower > page_size {
        return Ok(false);
    }
    let (second, third) = (ENTRIES + ENTRY, ENTRIES + 2 * ENTRY);
    for byte in 0..ENTRY {
        page.swap(second + byte, third + byte);
    }
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(&page)?;
    file.sync_all()?;
    Ok(true)
}
