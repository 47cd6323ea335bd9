//! Taking a fingerprint on several connections at once.
//!
//! Tables are cut into ranges of blocks, so that one big table keeps all
//! connections busy, too: narrower ones where much of it lies out of line. All
//! work goes into one queue, largest first.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use futures_util::future::try_join_all;

use super::{Options, Table, algorithm, columns, expression, objects, sequences};
use crate::{
    domain::{
        event::Unit,
        failure::{Failure, FailureKind},
        fingerprint::{Fingerprint, SequenceBounds, TableFingerprint, Weighted},
    },
    engine::{
        Context,
        postgresql::{endpoint::Endpoint, error::failure, session::Session},
    },
};

/// Most blocks per piece of work: 64 MiB with the usual block size.
const LARGEST: u64 = 8192;
/// Least blocks per piece of work: less is not worth a statement.
const SMALLEST: u64 = 256;
/// Pieces per connection to aim at, so that all of them end at about the same
/// time.
const PER_CONNECTION: u64 = 8;

/// One piece of work.
#[derive(Debug, Clone, Copy)]
struct Piece {
    table: usize,
    blocks: Option<(u64, u64)>,
}

/// How the rows of a table are hashed, and weighed where that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Recipe {
    hash: String,
    key: Option<String>,
}

/// What the connections share.
struct Shared<'a> {
    cx: &'a Context,
    options: &'a Options<'a>,
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
    options: &Options<'_>,
) -> Result<Fingerprint, Failure> {
    let first = open(cx, endpoint, snapshot).await?;
    let found = columns::read(&first, options).await?;
    let queue = pieces(&found.tables, options.jobs);
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
    let sessions = || std::iter::once(&first).chain(&others);
    try_join_all(sessions().map(|session| work(&shared, session))).await?;

    let mut fingerprint = Fingerprint {
        algorithm: algorithm(options.equality).to_owned(),
        tables: shared.into_tables(),
        untested: found.untested,
        ..Fingerprint::default()
    };
    if options.only.is_none() {
        add_objects(&first, &mut fingerprint).await?;
    }
    if snapshot.is_some() {
        // A lock that is held until the server notices the end of a connection
        // would stand in the way of whoever comes next.
        for session in sessions() {
            session.batch("close the snapshot", "COMMIT").await?;
        }
    }
    Ok(fingerprint)
}

async fn add_objects(session: &Session, fingerprint: &mut Fingerprint) -> Result<(), Failure> {
    if let Some(digest) = objects::take(session).await? {
        fingerprint.objects.insert(objects::NAME.to_owned(), digest);
    }
    for (name, value) in sequences::positions(session).await? {
        let bounds = SequenceBounds {
            low: value,
            high: value,
            descending: false,
        };
        fingerprint.sequences.insert(name, bounds);
    }
    Ok(())
}

/// Without a snapshot every statement is by itself, so that one may fail.
async fn open(
    cx: &Context,
    endpoint: &Endpoint,
    snapshot: Option<&str>,
) -> Result<Session, Failure> {
    let session = Session::open(endpoint, cx.run).await?;
    let mut begin = String::from(
        "SET jit = off; SET max_parallel_workers_per_gather = 0; \
         SET default_transaction_read_only = on;",
    );
    if let Some(snapshot) = snapshot {
        let snapshot = snapshot.replace('\'', "''");
        begin += "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '";
        begin += &snapshot;
        begin += "'";
    }
    session.batch("open the snapshot", &begin).await?;
    Ok(session)
}

/// How much of a table, in blocks with what lies out of line, makes a piece.
fn piece_size(tables: &[Table], jobs: usize) -> u64 {
    let all: u64 = tables.iter().map(|table| table.weight).sum();
    let connections = u64::try_from(jobs).unwrap_or(1).max(1);
    (all / (connections * PER_CONNECTION)).clamp(SMALLEST, LARGEST)
}

fn pieces(tables: &[Table], jobs: usize) -> VecDeque<Piece> {
    let size = piece_size(tables, jobs);
    let mut all = Vec::new();
    for (table, definition) in tables.iter().enumerate() {
        let count = if definition.splits {
            definition
                .weight
                .div_ceil(size)
                .clamp(1, definition.blocks.max(1))
        } else {
            1
        };
        let weight = definition.weight / count;
        if count == 1 {
            let blocks = None;
            all.push((weight, Piece { table, blocks }));
            continue;
        }
        let step = definition.blocks.div_ceil(count);
        let mut from = 0;
        while from < definition.blocks {
            // The last piece is open: the table may have grown since.
            let next = from + step;
            let to = if next < definition.blocks {
                next
            } else {
                u64::from(u32::MAX)
            };
            let blocks = Some((from, to));
            all.push((weight, Piece { table, blocks }));
            from = next;
        }
    }
    all.sort_by_key(|(weight, piece)| (Reverse(*weight), piece.table));
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
        let digest = shared.digest(session, piece).await?;
        shared.add(piece.table, digest);
        let done = shared.total.saturating_sub(left);
        shared
            .cx
            .progress("fingerprint", done, shared.total, Unit::Items);
    }
}

impl Shared<'_> {
    /// How the table was hashed where there is one to compare with.
    fn recipe(&self, table: &Table) -> Option<Recipe> {
        let theirs = self.options.like?.tables.get(&table.name)?;
        Some(Recipe {
            hash: theirs.row_hash.clone()?,
            key: theirs
                .weighted
                .as_ref()
                .map(|weighted| weighted.key.clone()),
        })
    }

    fn own_recipe(&self, table: &Table) -> Recipe {
        Recipe {
            hash: expression::row_hash(table, self.options.equality),
            key: expression::key(table),
        }
    }

    async fn digest(&self, session: &Session, piece: Piece) -> Result<TableFingerprint, Failure> {
        let table = &self.tables[piece.table];
        if let Some(recipe) = self.recipe(table) {
            match self.digest_by(session, piece, recipe).await? {
                // A column or its type is not as it was: then the digests
                // differ, whatever the recipe.
                None => {}
                Some(digest) => return Ok(digest),
            }
        }
        let digest = self
            .digest_by(session, piece, self.own_recipe(table))
            .await?;
        digest.ok_or_else(|| {
            let message = format!("the server cannot hash the rows of {}", table.name);
            Failure::new(FailureKind::Internal, message)
        })
    }

    /// `None` where the recipe does not fit the table.
    async fn digest_by(
        &self,
        session: &Session,
        piece: Piece,
        recipe: Recipe,
    ) -> Result<Option<TableFingerprint>, Failure> {
        let table = &self.tables[piece.table];
        let Recipe { mut hash, key } = recipe;
        let key = key.filter(|_| self.options.locate);
        let sql = expression::statement(&table.name, &hash, key.as_deref(), piece.blocks);
        let row = match session.client().query_one(&sql, &[]).await {
            Ok(row) => row,
            Err(error) if does_not_fit(&error) && self.options.like.is_some() => return Ok(None),
            Err(error) => {
                let doing = format!("take the fingerprint of {}", table.name);
                return Err(failure(&doing, &error));
            }
        };
        let weighted = match (key, row.get(2)) {
            (Some(key), Some(sum)) => Some(Weighted {
                sum: parse(sum)?,
                key,
            }),
            _ => None,
        };
        // Kept for as long as the run lasts, of every table.
        hash.shrink_to_fit();
        Ok(Some(TableFingerprint {
            rows: row.get::<_, i64>(0).unsigned_abs(),
            sum: parse(row.get(1))?,
            weighted,
            // Who compares has it already.
            row_hash: self.options.like.is_none().then_some(hash),
        }))
    }

    fn add(&self, table: usize, digest: TableFingerprint) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
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

    fn into_tables(self) -> BTreeMap<String, TableFingerprint> {
        let sums = self.sums.into_inner();
        let sums = sums.unwrap_or_else(PoisonError::into_inner).into_iter();
        sums.map(|(table, sum)| (self.tables[table].name.clone(), sum))
            .collect()
    }
}

/// Whether a column, or a function for its type, is not there (class 42).
fn does_not_fit(error: &tokio_postgres::Error) -> bool {
    error
        .code()
        .is_some_and(|code| code.code().starts_with("42"))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn table(blocks: u64, weight: u64) -> Table {
        Table {
            oid: 1,
            name: "public.t".to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            blocks,
            weight,
            splits: true,
        }
    }

    #[test]
    fn every_block_is_in_one_piece() {
        for (blocks, weight) in [(1000, 1000), (100_003, 100_010), (7, 90_000), (257, 600)] {
            let mut ranges: Vec<(u64, u64)> = pieces(&[table(blocks, weight)], 2)
                .into_iter()
                .map(|piece| piece.blocks.unwrap())
                .collect();
            ranges.sort_unstable();
            assert!(ranges.len() > 1);
            assert_eq!(ranges.first().unwrap().0, 0);
            assert_eq!(ranges.last().unwrap().1, u64::from(u32::MAX));
            assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0));
        }
    }

    #[test]
    fn small_tables_stay_whole_and_come_last() {
        let all = pieces(&[table(3, 3), table(1600, 20_000), table(0, 0)], 2);
        let whole: Vec<usize> = all
            .iter()
            .filter(|p| p.blocks.is_none())
            .map(|p| p.table)
            .collect();
        assert_eq!(whole, [0, 2]);
        assert_eq!(all[0].table, 1);
        // Two connections, eight pieces for each.
        assert_eq!(all.len(), 2 + 16);
    }
}
