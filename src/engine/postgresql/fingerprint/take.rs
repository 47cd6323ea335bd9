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

/// Blocks per piece of work: 64 MiB with the usual block size.
const PIECE: u64 = 8192;

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

fn pieces(tables: &[Table]) -> VecDeque<Piece> {
    let mut all = Vec::new();
    for (table, definition) in tables.iter().enumerate() {
        if !definition.splits || definition.blocks <= PIECE {
            let blocks = None;
            all.push((definition.blocks, Piece { table, blocks }));
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
            let blocks = Some((from, to));
            all.push((PIECE, Piece { table, blocks }));
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
