//! The user's own SQL on the copy: asked by a role that can read everything
//! and change nothing, one statement at a time, with an end in time and size.
//!
//! A dump is code. A query that calls a restored function must not lend it a
//! superuser's rights, so the reader *logs in* as a role without any: after
//! `SET ROLE` a function could simply reset it.

use futures_util::{TryStreamExt, pin_mut};
use tokio_postgres::SimpleQueryMessage;

use crate::{
    domain::{failure::Failure, ids::RunId},
    engine::{
        expect::{Answer, MOST_ROWS},
        postgresql::{endpoint::Endpoint, error::failure, globals::identifier, session::Session},
    },
};

/// How long one statement may take, as the server reads it.
const STATEMENT_TIMEOUT: &str = "10min";

/// How to ask the copy as its reader.
#[derive(Debug, Clone)]
pub struct Reader {
    endpoint: Endpoint,
    search_path: Option<String>,
    run: RunId,
}

impl Reader {
    /// Makes the role. `search_path` is the source database's own setting.
    ///
    /// # Errors
    /// If the role can't be made.
    pub async fn make(
        session: &Session,
        copy: &Endpoint,
        search_path: Option<String>,
        run: RunId,
    ) -> Result<Self, Failure> {
        const DOING: &str = "make a role that can only read";
        let name = format!("{} reader", run.resource_name());
        let known = "SELECT FROM pg_roles WHERE rolname = $1";
        let known = !session.rows(DOING, known, &[&name]).await?.is_empty();
        let mut sql = String::from("SET session_replication_role = replica");
        if !known {
            sql = format!("{sql}; CREATE ROLE \"{name}\" LOGIN BYPASSRLS");
        }
        // Everyone's right to connect may have been taken away.
        let database = identifier(&copy.database);
        sql = format!("{sql}; GRANT CONNECT ON DATABASE {database} TO \"{name}\"");
        let version: i32 = session
            .row(
                DOING,
                "SELECT current_setting('server_version_num')::int",
                &[],
            )
            .await?
            .get(0);
        if version >= 140_000 {
            sql = format!("{sql}; GRANT pg_read_all_data TO \"{name}\"");
        } else {
            sql.push_str(&grant_each(&name));
        }
        session.batch(DOING, &sql).await?;
        let mut endpoint = copy.clone();
        endpoint.user = name;
        endpoint.read_only = true;
        Ok(Self {
            endpoint,
            search_path,
            run,
        })
    }

    /// Takes the role away again, with all it was granted.
    ///
    /// # Errors
    /// If it can't be removed.
    pub async fn remove(&self, session: &Session) -> Result<(), Failure> {
        let name = identifier(&self.endpoint.user);
        let sql = format!("DROP OWNED BY {name}; DROP ROLE {name}");
        session
            .batch("remove the role that can only read", &sql)
            .await
    }

    /// A session of the reader, in a transaction that cannot write.
    ///
    /// # Errors
    /// If the copy can't be reached.
    pub async fn open(&self) -> Result<Session, Failure> {
        const DOING: &str = "open a read-only session";
        let session = Session::open(&self.endpoint, self.run).await?;
        session
            .batch(
                DOING,
                &format!("RESET search_path; SET statement_timeout = '{STATEMENT_TIMEOUT}'"),
            )
            .await?;
        if let Some(path) = &self.search_path {
            let sql = "SELECT set_config('search_path', $1, false)";
            session.rows(DOING, sql, &[path]).await?;
        }
        // After its first statement a transaction can't be made writable.
        session.batch(DOING, "BEGIN READ ONLY; SELECT 1").await?;
        Ok(session)
    }

    /// Asks one statement, in a session of its own.
    ///
    /// # Errors
    /// With the server's message.
    pub async fn ask(&self, sql: &str) -> Result<Answer, Failure> {
        const DOING: &str = "failed";
        let session = self.open().await?;
        // Preparing refuses more than one statement; asking by the simple
        // protocol then gives every type as text.
        let prepared = session.client().prepare(sql).await;
        prepared.map_err(|error| failure(DOING, &error))?;
        let mut answer = Answer::default();
        let stream = session.client().simple_query_raw(sql).await;
        let stream = stream.map_err(|error| failure(DOING, &error))?;
        pin_mut!(stream);
        while let Some(message) = stream
            .try_next()
            .await
            .map_err(|error| failure(DOING, &error))?
        {
            let SimpleQueryMessage::Row(row) = message else {
                continue;
            };
            if answer.rows.len() == MOST_ROWS {
                answer.cut_off = true;
                break;
            }
            let values = (0..row.len()).map(|i| row.get(i).map(str::to_owned));
            answer.rows.push(values.collect());
        }
        Ok(answer)
    }
}

/// Before 14 there is no role that reads everything.
fn grant_each(name: &str) -> String {
    format!(
        "; DO $do$ DECLARE s name; BEGIN FOR s IN SELECT nspname FROM pg_namespace \
         WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP \
         EXECUTE format('GRANT USAGE ON SCHEMA %I TO \"{name}\"', s); \
         EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO \"{name}\"', s); \
         EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO \"{name}\"', s); \
         END LOOP; END $do$"
    )
}
