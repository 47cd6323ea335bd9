//! The cut: one transaction whose snapshot everything else shares.

use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::SimpleQueryMessage;

use crate::{
    domain::{
        failure::{Failure, FailureKind},
        recovery_point::{Cut, CutBasis},
    },
    engine::{
        Context,
        postgresql::{endpoint::Endpoint, error::failure, session::Session},
    },
};

/// Holds the snapshot open for as long as it lives. A snapshot can be imported
/// only until the transaction that exported it ends.
#[derive(Debug)]
pub(super) struct Exporter {
    pub session: Session,
    /// Of the source, for messages.
    location: String,
}

/// How long a server that stops may take to end the session.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was read within the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exported {
    /// To be given to `SET TRANSACTION SNAPSHOT`.
    pub id: String,
    pub cut: Cut,
    /// The transactions that are in it, as `xmin:xmax:running`.
    pub transactions: String,
    pub standby: bool,
    pub database_bytes: u64,
    pub version: String,
    pub version_num: u32,
}

/// In one message: a prepared statement would take the snapshot when it is
/// parsed, a round trip before its clock is read. `now()` is the time at which
/// the server got the message, just before it took the snapshot: everything
/// committed until then is in it. A later reading would flatter the age of the
/// data by the time between.
const CUT: &str = "\
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
    SELECT pg_export_snapshot(), \
           (extract(epoch FROM now()) * 1000000)::int8, \
           pg_is_in_recovery(), \
           CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                ELSE pg_current_wal_lsn() END, \
           pg_current_snapshot(), \
           pg_database_size(current_database()), \
           split_part(current_setting('server_version'), ' ', 1), \
           current_setting('server_version_num')";

impl Exporter {
    /// Connects, with no limit on the time the transaction may stay open.
    pub(super) async fn open(cx: &Context, endpoint: &Endpoint) -> Result<Self, Failure> {
        let session = Session::open(endpoint, cx.run).await?;
        // Known from version 17 on; the other limits are pinned for all.
        let sql = "select set_config(name, '0', false) from pg_catalog.pg_settings \
                   where name = 'transaction_timeout'";
        session.rows("lift the time limit", sql, &[]).await?;
        Ok(Self {
            session,
            location: endpoint.location(),
        })
    }

    /// Takes the snapshot.
    pub(super) async fn export(&self) -> Result<Exported, Failure> {
        let doing = "export a snapshot";
        let messages = self
            .session
            .client()
            .simple_query(CUT)
            .await
            .map_err(|error| failure(doing, &error))?;
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        row.and_then(|row| {
            let at = Timestamp::from_microsecond(row.get(1)?.parse().ok()?).ok()?;
            Some(Exported {
                id: row.get(0).filter(|id| is_snapshot_id(id))?.to_owned(),
                cut: Cut {
                    at: Some(at),
                    basis: CutBasis::Snapshot,
                    position: row.get(3).map(str::to_owned),
                    newest_commit: None,
                },
                standby: row.get(2)? == "t",
                transactions: row.get(4)?.to_owned(),
                database_bytes: row.get(5)?.parse().ok()?,
                version: row.get(6)?.to_owned(),
                version_num: row.get(7)?.parse().ok()?,
            })
        })
        .ok_or_else(|| {
            Failure::new(
                FailureKind::Unavailable,
                format!("{doing}: the server's answer makes no sense"),
            )
            .hint("if a pooler or proxy stands between, name the server itself in the drill")
        })
    }

    /// Ends when the connection does.
    pub(super) async fn lost(&self) -> Failure {
        while !self.session.client().is_closed() {
            tokio::time::sleep(super::POLL).await;
        }
        Failure::new(
            FailureKind::Unavailable,
            format!(
                "the connection to {} that holds the snapshot was lost, so the dump cannot be \
                 finished",
                self.location
            ),
        )
        .hint("see the server's log: it was stopped, or something ended the session")
    }

    /// Says that the source went away, where that is what a part of the
    /// capture has met: a server that stops ends one session after the other.
    pub(super) async fn explain(&self, failure: Failure) -> Failure {
        if failure.kind != FailureKind::Unavailable {
            return failure;
        }
        match tokio::time::timeout(PATIENCE, self.lost()).await {
            Ok(lost) => lost
                .diagnosis([failure.message])
                .diagnosis(failure.diagnosis),
            Err(_) => failure,
        }
    }
}

/// Makes the session's transaction see the snapshot.
pub(super) async fn import(session: &Session, id: &str) -> Result<(), Failure> {
    let sql =
        format!("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{id}'");
    session.batch("import the snapshot", &sql).await
}

/// The newest commit, where the server can say. Asked *before* the snapshot is
/// taken, so that what it names is in the snapshot.
pub(in crate::engine::postgresql) async fn newest_commit(session: &Session) -> Option<Timestamp> {
    let doing = "read the newest commit";
    let facts = "select pg_is_in_recovery(), current_setting('track_commit_timestamp') = 'on'";
    let facts = session.row(doing, facts, &[]).await.ok()?;
    let sql = match (facts.get(0), facts.get(1)) {
        (true, _) => "select (extract(epoch from pg_last_xact_replay_timestamp()) * 1000000)::int8",
        (false, true) => {
            "select (extract(epoch from (pg_last_committed_xact()).timestamp) * 1000000)::int8"
        }
        (false, false) => return None,
    };
    let row = session.row(doing, sql, &[]).await.ok()?;
    Timestamp::from_microsecond(row.get::<_, Option<i64>>(0)?).ok()
}

/// It goes into statements and arguments as it is.
fn is_snapshot_id(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_like_a_snapshot_is_taken_for_one() {
        assert!(is_snapshot_id("00000003-0000001B-1"));
        assert!(!is_snapshot_id("1'; drop table t; --"));
        assert!(!is_snapshot_id(""));
    }
}
