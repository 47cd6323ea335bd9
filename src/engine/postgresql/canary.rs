//! The canary: writes into the source whose acknowledgement we have seen.
//!
//! Which writes came before the cut must not be guessed from clocks. Two
//! things race: the writer, which has a write on its way or acknowledged, and
//! the exporter, whose snapshot is taken by the server somewhere between our
//! sending the statement and our getting the answer. A write that is on its
//! way meanwhile may be on either side. So both take the same lock: the writer
//! holds it from sending a write until it is acknowledged, the exporter from
//! before its statement until the answer ([`Canary::cut`]). Then no write is on
//! its way while the snapshot is taken, and every write is wholly before it
//! (acknowledged, so visible to the snapshot) or wholly after it.

use std::{future::Future, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{sync::Mutex, task::JoinHandle};
use tracing::Instrument as _;

use super::{
    endpoint::Endpoint,
    globals::{identifier, literal},
    session::Session,
};
use crate::{
    domain::{
        canary::{Acknowledged, CanaryLog},
        failure::{Failure, FailureKind},
    },
    engine::Context,
    spec::drill,
};

/// Writes made before the cut, whatever the interval.
const BEFORE_CUT: usize = 3;

/// Rows that stay in the table.
const KEPT: i64 = 10_000;

/// How long a single write may take before the source counts as gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a sequence number that another run took first is tried anew.
const ATTEMPTS: usize = 100;

/// The name of the canary table, in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableName {
    pub schema: String,
    pub table: String,
}

impl TableName {
    /// Reads it as SQL would; both parts have to be given.
    ///
    /// # Errors
    /// `Invalid` if it is no qualified name.
    pub(super) async fn parse(session: &Session, name: &str) -> Result<Self, Failure> {
        let invalid = || {
            Failure::new(
                FailureKind::Invalid,
                format!("the canary table `{name}` is no qualified name"),
            )
            .hint("write it as schema.table, such as lifeboat.canary")
        };
        let row = session
            .row(
                "read the canary's name",
                "select parse_ident($1)::text[]",
                &[&name],
            )
            .await
            .map_err(|_| invalid())?;
        let parts: Vec<String> = row.get(0);
        match <[String; 2]>::try_from(parts) {
            Ok([schema, table]) => Ok(Self { schema, table }),
            Err(_) => Err(invalid()),
        }
    }

    /// As the server's `%I.%I` writes it.
    pub(super) async fn quoted(&self, session: &Session) -> Result<String, Failure> {
        let sql = "select format('%I.%I', $1::text, $2::text)";
        let row = session
            .row("quote the canary's name", sql, &[&self.schema, &self.table])
            .await?;
        Ok(row.get(0))
    }

    /// Whether the table is there. Not by `to_regclass`, which fails where
    /// the schema may not be used.
    pub(super) async fn exists(&self, session: &Session) -> Result<bool, Failure> {
        let sql = "select exists (select from pg_catalog.pg_class c \
             join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = $1 and c.relname = $2)";
        let row = session
            .row(
                "look for the canary table",
                sql,
                &[&self.schema, &self.table],
            )
            .await?;
        Ok(row.get(0))
    }

    fn sql(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.table))
    }
}

/// A canary that writes until it is dropped or finished.
#[derive(Debug)]
pub(super) struct Canary {
    /// As the server quotes it.
    table: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Until the cut. Later ones are only counted: a capture can be long.
    before_cut: Vec<Acknowledged>,
    /// How many came after the cut; `None` until it is made.
    after_cut: Option<u64>,
}

impl State {
    fn add(&mut self, write: Acknowledged) {
        match &mut self.after_cut {
            Some(count) => *count += 1,
            None => self.before_cut.push(write),
        }
    }

    fn count(&self) -> u64 {
        self.before_cut.len() as u64 + self.after_cut.unwrap_or(0)
    }
}

impl Canary {
    /// Makes the table if need be, makes the first writes, and goes on
    /// writing.
    ///
    /// # Errors
    /// If the table can't be made or written, or the source is a standby.
    pub(super) async fn start(
        cx: &Context,
        source: &Endpoint,
        canary: &drill::Canary,
    ) -> Result<Self, Failure> {
        let endpoint = Endpoint {
            read_only: false,
            ..source.clone()
        };
        let session = Session::open(&endpoint, cx.run).await?;
        session
            .batch("prepare the canary's session", SESSION)
            .await?;
        let name = TableName::parse(&session, &canary.table).await?;
        ensure(&session, &name).await?;
        let table = name.quoted(&session).await?;
        let writer = Writer {
            session,
            insert: insert_statement(&name),
            run: cx.run.resource_name(),
        };
        let state = Arc::new(Mutex::new(State::default()));
        for _ in 0..BEFORE_CUT {
            let mut state = state.lock().await;
            state.add(writer.write().await?);
        }
        let writing = go_on(cx.clone(), writer, state.clone(), canary.interval);
        let task = tokio::spawn(writing.in_current_span());
        Ok(Self { table, state, task })
    }

    /// The table, as the server quotes it.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Makes the cut while no write is on its way: see the module's comment.
    pub(super) async fn cut<T>(&self, export: impl Future<Output = T>) -> T {
        let mut state = self.state.lock().await;
        let exported = export.await;
        state.after_cut = Some(0);
        exported
    }

    /// Stops, after the write that is on its way, and gives the log.
    pub(super) async fn finish(self) -> CanaryLog {
        let mut state = self.state.lock().await;
        self.task.abort();
        CanaryLog {
            table: self.table.clone(),
            before_cut: std::mem::take(&mut state.before_cut),
            after_cut: state.after_cut.unwrap_or(0),
        }
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The user's own defaults may say otherwise.
const SESSION: &str = "\
    SET default_transaction_read_only = off; SET synchronous_commit = on; \
    SET statement_timeout = '30s'";

struct Writer {
    session: Session,
    insert: String,
    run: String,
}

/// One statement, so one commit. Another run may write at the same time: a
/// number that it took gives no row here, and the next one is tried. Only rows
/// that a run of Lifeboat wrote are ever removed.
fn insert_statement(name: &TableName) -> String {
    let table = name.sql();
    format!(
        "with newest as (select coalesce(max(sequence), 0) as sequence from {table}), \
         gone as (delete from {table} t using newest \
                  where t.sequence <= newest.sequence - {KEPT} and t.run like 'lb-%') \
         insert into {table} (sequence, run) select sequence + 1, $1 from newest \
         on conflict do nothing \
         returning sequence, (extract(epoch from written_at) * 1000000)::int8"
    )
}

impl Writer {
    async fn write(&self) -> Result<Acknowledged, Failure> {
        let gone = |_| {
            Failure::new(
                FailureKind::Timeout,
                "the canary's write was not acknowledged",
            )
        };
        tokio::time::timeout(WRITE_TIMEOUT, self.acknowledged())
            .await
            .unwrap_or_else(|elapsed| Err(gone(elapsed)))
    }

    async fn acknowledged(&self) -> Result<Acknowledged, Failure> {
        let doing = "write the canary";
        for _ in 0..ATTEMPTS {
            let rows = self.session.rows(doing, &self.insert, &[&self.run]).await?;
            let Some(row) = rows.first() else { continue };
            return Ok(Acknowledged {
                sequence: row.get(0),
                at: Timestamp::from_microsecond(row.get(1)).unwrap_or_default(),
                position: self.position().await,
            });
        }
        Err(Failure::new(
            FailureKind::Conflict,
            format!("{doing}: every sequence number was taken by another writer"),
        ))
    }

    /// Right after the commit. A log position is a help, not a need.
    async fn position(&self) -> Option<String> {
        let sql = "select pg_current_wal_insert_lsn()::text";
        let row = self.session.row("read the log position", sql, &[]).await;
        row.ok().and_then(|row| row.get(0))
    }
}

async fn go_on(cx: Context, writer: Writer, state: Arc<Mutex<State>>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let mut state = state.lock().await;
        match writer.write().await {
            Ok(write) => state.add(write),
            Err(failure) => {
                let count = state.count();
                cx.note(format!(
                    "the canary stopped after {count} acknowledged writes: {failure}"
                ));
                return;
            }
        }
    }
}

/// Makes schema and table where they are missing. `CREATE … IF NOT EXISTS`
/// asks for the right to create even where there is nothing to create.
async fn ensure(session: &Session, name: &TableName) -> Result<(), Failure> {
    let standby = session
        .row(
            "ask for the server's role",
            "select pg_is_in_recovery()",
            &[],
        )
        .await?;
    if standby.get(0) {
        return Err(on_standby());
    }
    if name.exists(session).await? {
        return Ok(());
    }
    let schema = "select exists (select from pg_catalog.pg_namespace where nspname = $1)";
    let schema = session
        .row("look for the canary's schema", schema, &[&name.schema])
        .await?;
    let mut sql = if schema.get::<_, bool>(0) {
        String::new()
    } else {
        format!("CREATE SCHEMA IF NOT EXISTS {}; ", identifier(&name.schema))
    };
    let table = name.sql();
    let comment = literal("Written by Lifeboat to know which writes a backup has to hold");
    sql = format!(
        "{sql}CREATE TABLE IF NOT EXISTS {table} (sequence bigint PRIMARY KEY, \
         written_at timestamptz NOT NULL DEFAULT clock_timestamp(), run text NOT NULL); \
         COMMENT ON TABLE {table} IS {comment}"
    );
    let made = session.batch("make the canary table", &sql).await;
    // Two runs may make it at once; then the other's will do.
    match made {
        Err(failure) if !name.exists(session).await? => Err(failure),
        _ => Ok(()),
    }
}

pub(super) fn on_standby() -> Failure {
    Failure::new(
        FailureKind::Invalid,
        "the source is a standby, which takes no canary writes",
    )
    .hint("remove `canary` from the drill, or name the primary as the source")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_after_the_cut_are_counted_and_not_kept() {
        let mut state = State::default();
        let write = |sequence| Acknowledged {
            sequence,
            at: Timestamp::UNIX_EPOCH,
            position: None,
        };
        (1..=3).for_each(|n| state.add(write(n)));
        state.after_cut = Some(0);
        (4..=1000).for_each(|n| state.add(write(n)));
        assert_eq!(state.before_cut.capacity(), 4);
        assert_eq!(state.before_cut.len(), 3);
        assert_eq!(state.after_cut, Some(997));
        assert_eq!(state.count(), 1000);
    }
}
