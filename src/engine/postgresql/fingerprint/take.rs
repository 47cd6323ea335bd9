//! Taking a fingerprint on several connections at once.
//!
//! Large tables are cut into ranges of blocks, so that one big table keeps all
//! connections busy, too. All work goes into one queue, largest first.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use futures_util::future::try_join_all;

use super::{Options, TEXT, TYPED, Table, columns, expression, objects, sequences};
use crate::{
    domain::{
        event::Unit,
        failure::{Failure, FailureKind},
        fingerprint::{Fingerprint, SequenceBounds, TableFingerprint, Weighted},
    },
    engine::{
        Context,
        postgresql::{endpoint::Endpoint, session::Session},
    },
};

/// Blocks per piece of work: 64 MiB with the usual block size.
const PIECE: u64 = 8192;

/// One piece of work.
#[derive(Debug, Clone, Copy)]
struct Piece {
    table: usize,
    blocks: Option<(u64, u64)>,
}

/// What the connections share.
struct Shared<'a> {
    cx: &'a Context,
    options: &'a Options,
    tables: &'a [Table],
    queue: Mutex<VecDeque<Piece>>,
    total: u64,
    sums: Mutex<BTreeMap<usize, TableFingerprint>>,
}

/// Takes the fingerprint of all tables, large objects and sequences; on the
/// source within the exported `snapshot`.
///
/// # Errors
/// If something cannot be read.
pub async fn take(
    cx: &Context,
    endpoint: &Endpoint,
    snapshot: Option<&str>,
    options: &Options,
) -> Result<Fingerprint, Failure> {
    let first = open(cx, endpoint, snapshot).await?;
    let found = columns::read(&first, options).await?;
    let queue = pieces(&found.tables);
    let connections = options.jobs.clamp(1, queue.len().max(1));
    let shared = Shared {
        cx,
        options,
        tables: &found.tables,
        total: queue.len() as u64,
        queue: Mutex::new(queue),
        sums: Mutex::default(),
    };
    let others = try_join_all((1..connections).map(|_| open(cx, endpoint, snapshot))).await?;
    let workers = std::iter::once(&first)
        .chain(&others)
        .map(|session| work(&shared, session));
    try_join_all(workers).await?;

    let mut fingerprint = Fingerprint {
        algorithm: if options.exact_text { TEXT } else { TYPED }.to_owned(),
        untested: found.untested,
        ..Fingerprint::default()
    };
    let sums = shared
        .sums
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    for (table, sum) in sums {
        fingerprint
            .tables
            .insert(found.tables[table].name.clone(), sum);
    }
    if let Some(digest) = objects::take(&first).await? {
        fingerprint.objects.insert(objects::NAME.to_owned(), digest);
    }
    for (name, value) in sequences::positions(&first).await? {
        let bounds = SequenceBounds {
            low: value,
            high: value,
            descending: false,
        };
        fingerprint.sequences.insert(name, bounds);
    }
    // A lock that is held until the server notices the end of a connection
    // would stand in the way of whoever comes next.
    for session in std::iter::once(&first).chain(&others) {
        session.batch("close the snapshot", "COMMIT").await?;
    }
    Ok(fingerprint)
}

async fn open(
    cx: &Context,
    endpoint: &Endpoint,
    snapshot: Option<&str>,
) -> Result<Session, Failure> {
    let session = Session::open(endpoint, cx.run).await?;
    let mut begin = String::from(
        "SET jit = off; SET max_parallel_workers_per_gather = 0; \
         BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;",
    );
    if let Some(snapshot) = snapshot {
        let snapshot = snapshot.replace('\'', "''");
        begin += " SET TRANSACTION SNAPSHOT '";
        begin += &snapshot;
        begin += "'";
    }
    session.batch("open the snapshot", &begin).await?;
    Ok(session)
}

fn pieces(tables: &[Table]) -> VecDeque<Piece> {
    let mut all = Vec::new();
    for (table, definition) in tables.iter().enumerate() {
        if !definition.splits || definition.blocks <= PIECE {
            all.push((
                definition.blocks,
                Piece {
                    table,
                    blocks: None,
                },
            ));
            continue;
        }
        let mut from = 0;
        while from < definition.blocks {
            // The last piece is open: the table may have grown since.
            let next = from + PIECE;
            let to = if next < definition.blocks {
                next
            } else {
                u64::from(u32::MAX)
            };
            all.push((
                PIECE,
                Piece {
                    table,
                    blocks: Some((from, to)),
                },
            ));
            from = next;
        }
    }
    all.sort_by_key(|(blocks, piece)| (Reverse(*blocks), piece.table));
    all.into_iter().map(|(_, piece)| piece).collect()
}

async fn work(shared: &Shared<'_>, session: &Session) -> Result<(), Failure> {
    loop {
        let (piece, left) = {
            let mut queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
            (queue.pop_front(), queue.len() as u64)
        };
        let Some(piece) = piece else { return Ok(()) };
        if shared.cx.cancel.is_cancelled() {
            return Err(Failure::new(FailureKind::Cancelled, "stopped on request"));
        }
        let table = &shared.tables[piece.table];
        let digest = digest(session, table, shared.options, piece.blocks).await?;
        add(shared, piece.table, digest);
        let done = shared.total.saturating_sub(left);
        shared
            .cx
            .progress("fingerprint", done, shared.total, Unit::Items);
    }
}

async fn digest(
    session: &Session,
    table: &Table,
    options: &Options,
    blocks: Option<(u64, u64)>,
) -> Result<TableFingerprint, Failure> {
    let sql = expression::statement(table, options.exact_text, blocks);
    let doing = format!("take the fingerprint of {}", table.name);
    let row = session.row(&doing, &sql, &[]).await?;
    let rows: i64 = row.get(0);
    let weighted: Option<&str> = row.get(2);
    Ok(TableFingerprint {
        rows: rows.unsigned_abs(),
        sum: parse(row.get(1))?,
        weighted: match (weighted, expression::key(table)) {
            (Some(sum), Some(key)) => Some(Weighted {
                sum: parse(sum)?,
                key,
            }),
            _ => None,
        },
    })
}

fn add(shared: &Shared<'_>, table: usize, digest: TableFingerprint) {
    let mut sums = shared.sums.lock().unwrap_or_else(PoisonError::into_inner);
    match sums.get_mut(&table) {
        None => {
            sums.insert(table, digest);
        }
        Some(sum) => {
            sum.rows += digest.rows;
            sum.sum += digest.sum;
            if let (Some(ours), Some(theirs)) = (&mut sum.weighted, digest.weighted) {
                ours.sum += theirs.sum;
            }
        }
    }
}

/// A sum as the server prints it.
pub(super) fn parse(text: &str) -> Result<i128, Failure> {
    text.parse().map_err(|_| {
        Failure::new(
            FailureKind::Internal,
            format!("the server's sum `{text}` is not a number"),
        )
    })
}
