//! Runs: begun, written, taken over.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Row, any::AnyRow};

use super::{
    SqlHistory, Writing, agenda,
    asked::Asked,
    backend, from_json, parse_id, records, requests,
    tallies::{Columns, UNREADABLE},
    to_json,
};
use crate::{
    domain::{
        budget::{Demand, Share, Taken},
        ids::RunId,
        journal::Entry,
        record::RunRecord,
        resource::Resource,
        step::Acquired,
        verdict::Verdict,
    },
    runner::store::{Claim, Gone, Owner, RunStore, StoreError, TakenOver, Unfinished, Write},
};

#[async_trait]
impl RunStore for SqlHistory {
    async fn begin(
        &self,
        record: &RunRecord,
        owner: &Owner,
        demand: &Demand,
    ) -> Result<Claim, StoreError> {
        let mut patience = self.patience();
        loop {
            let begun = self.within("written", self.try_begin(record, owner, demand));
            match begun.await {
                Err(error) if patience.lasts(&error).await => {}
                done => return done,
            }
        }
    }

    async fn write(
        &self,
        claim: &Claim,
        at: Timestamp,
        writes: &[Write<'_>],
    ) -> Result<(), StoreError> {
        let mut patience = self.patience();
        let name = write_name();
        loop {
            let written = self.within("written", self.try_write(claim, at, writes, &name));
            match written.await {
                Err(error) if patience.lasts(&error).await => {}
                done => return done,
            }
        }
    }

    async fn unfinished(&self) -> Result<Vec<Unfinished>, StoreError> {
        let sql = "SELECT id, owner, epoch, record, packed FROM runs \
                   WHERE finished_at IS NULL ORDER BY requested_at, id";
        let rows = self.all(Asked::new(sql)).await?;
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            match self.one_unfinished(row).await {
                Ok(run) => all.push(run),
                // As a newer version may have written it: it knows what to do.
                Err(error @ StoreError::Inconsistent { .. }) => {
                    tracing::error!(%error, "a run cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    async fn take_over(
        &self,
        run: RunId,
        epoch: i64,
        owner: &Owner,
        gone: Gone,
    ) -> Result<Option<TakenOver>, StoreError> {
        let name = write_name();
        let owner = to_json(run, owner)?;
        // Done already, and the answer was lost: then it bears this name.
        let still_silent = match gone {
            Gone::Seen => String::new(),
            Gone::Silent => format!(
                " AND NOT EXISTS (SELECT 1 FROM replicas \
                 WHERE replicas.owner = runs.owner AND expires_at >= {})",
                self.dialect.now
            ),
        };
        let sql = format!(
            "UPDATE runs SET epoch = $3 + 1, owner = $1, last_write = $4 \
             WHERE id = $2 AND finished_at IS NULL \
             AND (last_write = $4 OR (epoch = $3{still_silent}))"
        );
        let taken = self.execute(|| {
            sqlx::query(AssertSqlSafe(sql.clone()))
                .bind(owner.clone())
                .bind(run.to_string())
                .bind(epoch)
                .bind(name.clone())
        });
        if taken.await? == 0 {
            return Ok(None);
        }
        let claim = Claim {
            run,
            epoch: epoch + 1,
        };
        // Whoever had it may have written until a moment ago, and cannot any more.
        let mut patience = self.patience();
        loop {
            match self.as_it_stands(run).await {
                Err(error) if patience.lasts(&error).await => {}
                run => return Ok(run?.map(|run| TakenOver::new(claim, run))),
            }
        }
    }

    async fn open(&self) -> Result<Vec<RunId>, StoreError> {
        let sql = "SELECT id FROM runs WHERE finished_at IS NULL";
        let rows = self.all(Asked::new(sql)).await?;
        rows.iter()
            .map(|row| {
                let id: String = row.try_get("id").map_err(backend("read"))?;
                parse_id(&id)
            })
            .collect()
    }
}

/// A name that no other write has.
fn write_name() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// What stands in the way of a run, or that it has begun already.
enum Before {
    Nothing,
    /// It has, and the answer was lost.
    Begun,
}

impl SqlHistory {
    async fn as_it_stands(&self, run: RunId) -> Result<Option<Unfinished>, StoreError> {
        let asked = Asked::new("SELECT id, owner, epoch, record, packed FROM runs WHERE id = ");
        let rows = self.all(asked.bind(run.to_string())).await?;
        match rows.first() {
            Some(row) => self.one_unfinished(row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn one_unfinished(&self, row: &AnyRow) -> Result<Unfinished, StoreError> {
        let id: String = row.try_get("id").map_err(backend("read"))?;
        Ok(Unfinished {
            record: records::record(row)?,
            owner: from_json(&id, row, "owner")?,
            epoch: row.try_get("epoch").map_err(backend("read"))?,
            journal: self.journal(&id).await?,
            ledger: self.ledger(&id).await?,
        })
    }

    async fn try_begin(
        &self,
        record: &RunRecord,
        owner: &Owner,
        demand: &Demand,
    ) -> Result<Claim, StoreError> {
        let claim = Claim {
            run: record.id,
            epoch: 1,
        };
        let mut transaction = self.begin_write().await?;
        if let (Some(turn), false) = (self.dialect.turn, demand.limits.are_open()) {
            let waited = sqlx::query(turn).execute(&mut *transaction).await;
            waited.map_err(backend("written"))?;
        }
        let owned_by = to_json(record.id, owner)?;
        let promised = (owned_by.as_str(), demand.promised);
        requests::fulfilled(&mut transaction, record, promised).await?;
        if let Before::Begun = in_the_way(&mut transaction, record).await? {
            return Ok(claim);
        }
        if !demand.limits.are_open() {
            has_room(&mut transaction, demand).await?;
        }
        let sql = "INSERT INTO runs (id, drill, requested_at, negative_control, owner, record, \
                   shares, request_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        sqlx::query(sql)
            .bind(record.id.to_string())
            .bind(record.drill.clone())
            .bind(record.requested_at.as_microsecond())
            .bind(i64::from(record.negative_control))
            .bind(owned_by)
            .bind(to_json(record.id, record)?)
            .bind(to_json(record.id, &demand.shares)?)
            .bind(record.request_key.clone())
            .execute(&mut *transaction)
            .await
            .map_err(backend("written"))?;
        agenda::started(&mut transaction, record).await?;
        transaction.commit().await.map_err(backend("written"))?;
        Ok(claim)
    }

    async fn try_write(
        &self,
        claim: &Claim,
        at: Timestamp,
        writes: &[Write<'_>],
        name: &str,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin_write().await?;
        // From here on nobody takes the run over until all is written.
        let sql = "UPDATE runs SET last_write = $3 \
                   WHERE id = $1 AND epoch = $2 AND last_write <> $3 \
                   RETURNING proof, concluded_at";
        let held = sqlx::query(sql)
            .bind(claim.run.to_string())
            .bind(claim.epoch)
            .bind(name.to_owned())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(backend("written"))?;
        let Some(held) = held else {
            return written_already(&mut transaction, claim, name).await;
        };
        let ends = writes.iter().any(ends);
        let written = How {
            may_pack: ends && self.may_pack(&mut transaction).await?,
            counted: self.counted(&mut transaction, &held, at, writes).await?,
        };
        for write in writes {
            apply(&mut transaction, claim.run, at, write, written).await?;
        }
        if ends {
            records::clear(&mut transaction, claim.run).await?;
        }
        transaction.commit().await.map_err(backend("written"))
    }

    /// Counts the run if its verdict is drawn by now and it is not counted yet, as
    /// one that a program of the version before concluded; gives whether it is
    /// counted.
    async fn counted(
        &self,
        transaction: &mut Writing<'_>,
        held: &AnyRow,
        at: Timestamp,
        writes: &[Write<'_>],
    ) -> Result<bool, StoreError> {
        let proof: Option<String> = held.try_get("proof").map_err(backend("read"))?;
        // Who could not read it did not count it either.
        let proof = proof.filter(|proof| proof != UNREADABLE);
        let concluded = writes.iter().find_map(|write| match write {
            Write::Record(record) if record.verdict.is_some() => Some(*record),
            _ => None,
        });
        let Some(record) = concluded.filter(|_| proof.is_none()) else {
            return Ok(proof.is_some());
        };
        let drawn: Option<i64> = held.try_get("concluded_at").map_err(backend("read"))?;
        // As it stands in its column, and is counted later otherwise.
        let drawn = Timestamp::from_microsecond(drawn.unwrap_or(at.as_microsecond()));
        self.count(transaction, (drawn.unwrap_or(at), record)).await
    }

    async fn journal(&self, run: &str) -> Result<Vec<Entry>, StoreError> {
        let asked = Asked::new("SELECT entry FROM journal WHERE run_id = ");
        let asked = asked.bind(run.to_owned()).push(" ORDER BY sequence");
        let rows = self.all(asked).await?;
        rows.iter()
            .map(|row| from_json(run, row, "entry"))
            .collect()
    }

    async fn ledger(&self, run: &str) -> Result<Vec<(Acquired, Resource)>, StoreError> {
        let asked = Asked::new(
            "SELECT acquired, resource FROM ledger WHERE released_at IS NULL AND run_id = ",
        );
        let asked = asked.bind(run.to_owned()).push(" ORDER BY intended_at");
        let rows = self.all(asked).await?;
        rows.iter()
            .map(|row| {
                Ok((
                    from_json(run, row, "acquired")?,
                    from_json(run, row, "resource")?,
                ))
            })
            .collect()
    }
}

/// Whether the same write was made before, and its answer lost.
async fn written_already(
    transaction: &mut Writing<'_>,
    claim: &Claim,
    name: &str,
) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM runs WHERE id = $1 AND epoch = $2 AND last_write = $3";
    let found = sqlx::query(sql)
        .bind(claim.run.to_string())
        .bind(claim.epoch)
        .bind(name.to_owned())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(backend("read"))?;
    match found {
        Some(_) => Ok(()),
        None => Err(StoreError::ClaimLost { run: claim.run }),
    }
}

async fn in_the_way(
    transaction: &mut Writing<'_>,
    record: &RunRecord,
) -> Result<Before, StoreError> {
    let mine = record.id.to_string();
    if let Some(run) = agenda::fired(transaction, record).await? {
        return match record.scheduled_for {
            Some(scheduled_for) if run.as_ref() != Some(&mine) => Err(StoreError::Fired {
                drill: record.drill.clone(),
                scheduled_for,
            }),
            _ => Ok(Before::Begun),
        };
    }
    let sql = "SELECT id FROM runs WHERE request_key = $1";
    let asked = sqlx::query(sql)
        .bind(record.request_key.clone())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(backend("read"))?;
    if let Some(row) = asked {
        let id: String = row.try_get("id").map_err(backend("read"))?;
        if id == mine {
            return Ok(Before::Begun);
        }
        return Err(StoreError::Requested {
            run: parse_id(&id)?,
        });
    }
    let sql = "SELECT id, owner FROM runs WHERE drill = $1 AND verdict IS NULL";
    let live = sqlx::query(sql)
        .bind(record.drill.clone())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(backend("read"))?;
    let Some(row) = live else {
        return Ok(Before::Nothing);
    };
    let id: String = row.try_get("id").map_err(backend("read"))?;
    if id == mine {
        return Ok(Before::Begun);
    }
    Err(StoreError::Busy {
        drill: record.drill.clone(),
        run: parse_id(&id)?,
        owner: from_json(&id, &row, "owner")?,
    })
}

/// Counts the runs of all processes.
async fn has_room(transaction: &mut Writing<'_>, demand: &Demand) -> Result<(), StoreError> {
    let live = sqlx::query("SELECT id, shares, record, packed FROM runs WHERE finished_at IS NULL")
        .fetch_all(&mut **transaction)
        .await
        .map_err(backend("read"))?;
    let mut taken = Taken::default();
    for row in &live {
        let id: String = row.try_get("id").map_err(backend("read"))?;
        // What a newer version wrote may not be understood here: it counts.
        if records::record(row).is_ok_and(|run| !run.takes_room()) {
            continue;
        }
        let shares: Vec<Share> = from_json(&id, row, "shares")?;
        taken.take(&shares);
    }
    match taken.full(demand.limits, &demand.shares) {
        Some(limit) => Err(StoreError::NoRoom { limit }),
        None => Ok(()),
    }
}

/// Whether nothing of the run is left after it.
fn ends(write: &Write<'_>) -> bool {
    matches!(write, Write::Record(record) if record.finished_at.is_some())
}

/// How a record is written.
#[derive(Clone, Copy)]
struct How {
    may_pack: bool,
    /// Whether the run is counted: then its figures are noted, too.
    counted: bool,
}

async fn apply(
    transaction: &mut Writing<'_>,
    run: RunId,
    at: Timestamp,
    write: &Write<'_>,
    how: How,
) -> Result<(), StoreError> {
    let (id, at) = (run.to_string(), at.as_microsecond());
    let query = match write {
        Write::Entry(entry) => sqlx::query(
            "INSERT INTO journal (run_id, sequence, at, entry) \
             SELECT $1, coalesce(max(sequence), 0) + 1, $2, $3 FROM journal WHERE run_id = $1",
        )
        .bind(id)
        .bind(at)
        .bind(to_json(run, entry)?),
        Write::Intend(acquired, resource) => sqlx::query(
            "INSERT INTO ledger (run_id, acquired, resource, intended_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(id)
        .bind(to_json(run, acquired)?)
        .bind(to_json(run, resource)?)
        .bind(at),
        Write::Identify(acquired, old, new) => sqlx::query(
            "UPDATE ledger SET resource = $1 \
             WHERE run_id = $2 AND acquired = $3 AND resource = $4",
        )
        .bind(to_json(run, new)?)
        .bind(id)
        .bind(to_json(run, acquired)?)
        .bind(to_json(run, old)?),
        Write::Strike(acquired) => {
            sqlx::query("UPDATE ledger SET released_at = $1 WHERE run_id = $2 AND acquired = $3")
                .bind(at)
                .bind(id)
                .bind(to_json(run, acquired)?)
        }
        Write::Record(record) => {
            let sql = "UPDATE runs SET record = $1, packed = $6, verdict = $2, finished_at = $3, \
                       shares = CASE WHEN $3 IS NULL THEN shares ELSE '[]' END, \
                       concluded_at = CASE WHEN $2 IS NULL THEN NULL \
                       ELSE coalesce(concluded_at, $4) END, \
                       rto_ms = $7, rpo_ms = $8, namespace = $9, proof = $10 WHERE id = $5";
            let kept = records::kept(record, how.may_pack)?;
            let columns = if how.counted {
                Columns::of(record)
            } else {
                Columns::default()
            };
            sqlx::query(sql)
                .bind(kept.record)
                .bind(record.verdict.map(Verdict::name))
                .bind(record.finished_at.map(Timestamp::as_microsecond))
                .bind(at)
                .bind(id)
                .bind(kept.packed)
                .bind(columns.rto_ms)
                .bind(columns.rpo_ms)
                .bind(columns.namespace)
                .bind(columns.proof)
        }
    };
    query
        .execute(&mut **transaction)
        .await
        .map_err(backend("written"))?;
    Ok(())
}
