//! One connection, with every setting that changes how values read pinned.

use std::time::Duration;

use futures_util::{TryStreamExt, pin_mut};
use secrecy::ExposeSecret;
use tokio::task::JoinHandle;
use tokio_postgres::{CancelToken, Client, Config, Row, types::ToSql};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::Instrument as _;

use super::{endpoint::Endpoint, error::failure, tls};
use crate::domain::{failure::Failure, ids::RunId};

/// How long to wait for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings under which a value has one text, whoever asks. Every one may be
/// set by any user.
const PINNED: &str = "\
    SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; \
    SET extra_float_digits = 1; SET bytea_output = 'hex'; SET lc_monetary = 'C'; \
    SET xmloption = 'content'; SET search_path = pg_catalog; SET row_security = off; \
    SET quote_all_identifiers = off; SET statement_timeout = 0; SET lock_timeout = '30s'; \
    SET idle_in_transaction_session_timeout = 0; \
    SET default_transaction_isolation = 'read committed'; SET default_transaction_deferrable = off; \
    SET standard_conforming_strings = on; SET synchronize_seqscans = off";

/// An open connection; closed when dropped.
pub struct Session {
    client: Client,
    cancel: CancelToken,
    tls: MakeRustlsConnect,
    connection: JoinHandle<()>,
}

impl Session {
    /// Connects and pins the session's settings. It names itself
    /// `lifeboat <run>` to the server.
    ///
    /// # Errors
    /// If the server can't be reached or refuses.
    pub async fn open(endpoint: &Endpoint, run: RunId) -> Result<Self, Failure> {
        let doing = format!("connect to {}", endpoint.location());
        let config = config(endpoint, run);
        let tls = tls::connector(endpoint).map_err(|failure| failure.context(&doing))?;
        let (client, connection) = config
            .connect(tls.clone())
            .await
            .map_err(|error| failure(&doing, &error))?;
        // An error of the connection shows up in the statement that meets it.
        let connection = async move {
            let _ = connection.await;
        };
        let connection = tokio::spawn(connection.in_current_span());
        let session = Self {
            cancel: client.cancel_token(),
            client,
            tls,
            connection,
        };
        session.batch(&doing, PINNED).await?;
        // A database or role may have a default of its own.
        let read_only = if endpoint.read_only { "on" } else { "off" };
        let sql = format!("SET default_transaction_read_only = {read_only}");
        session.batch(&doing, &sql).await?;
        Ok(session)
    }

    /// Runs statements that give no rows.
    ///
    /// # Errors
    /// With `doing` in front.
    pub async fn batch(&self, doing: &str, sql: &str) -> Result<(), Failure> {
        self.client
            .batch_execute(sql)
            .await
            .map_err(|error| failure(doing, &error))
    }

    /// Runs one statement and gives all rows.
    ///
    /// # Errors
    /// With `doing` in front.
    pub async fn rows(
        &self,
        doing: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Failure> {
        self.client
            .query(sql, params)
            .await
            .map_err(|error| failure(doing, &error))
    }

    /// Runs one statement and hands over row by row: many rows at once take
    /// several times the memory of what is made of them.
    ///
    /// # Errors
    /// With `doing` in front.
    pub async fn each(
        &self,
        doing: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
        mut take: impl FnMut(Row),
    ) -> Result<(), Failure> {
        let fail = |error: tokio_postgres::Error| failure(doing, &error);
        let params = params.iter().copied();
        let rows = self.client.query_raw(sql, params).await.map_err(fail)?;
        pin_mut!(rows);
        while let Some(row) = rows.try_next().await.map_err(fail)? {
            take(row);
        }
        Ok(())
    }

    /// Runs one statement that gives exactly one row.
    ///
    /// # Errors
    /// With `doing` in front.
    pub async fn row(
        &self,
        doing: &str,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Failure> {
        self.client
            .query_one(sql, params)
            .await
            .map_err(|error| failure(doing, &error))
    }

    /// Asks the server to stop the statement that runs. It may be over by
    /// then, or the server gone: nothing is lost by that.
    pub async fn cancel(&self) {
        let _ = self.cancel.cancel_query(self.tls.clone()).await;
    }

    /// The driver's own client, for what is not wrapped here.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Endpoint {
    /// Host, port and database, for messages: no credentials.
    #[must_use]
    pub fn location(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }
}

fn config(endpoint: &Endpoint, run: RunId) -> Config {
    let mut config = Config::new();
    config
        .host(&endpoint.host)
        .port(endpoint.port)
        .dbname(&endpoint.database)
        .user(&endpoint.user)
        .ssl_mode(tls::mode(endpoint))
        .connect_timeout(CONNECT_TIMEOUT)
        .application_name(format!("lifeboat {}", run.resource_name()));
    if let Some(password) = &endpoint.password {
        config.password(password.expose_secret());
    }
    config
}
