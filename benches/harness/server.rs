//! The server that holds the data sets, with a server's usual settings.

use std::{fs, path::Path, process::Command};

use lifeboat::engine::postgresql::endpoint::Endpoint;

pub use crate::postgres::BINARIES;
use crate::postgres::{self, PORT};

/// Clients ask with these: a plan that is compiled, or that takes other
/// processes to help, would be another measurement.
pub const ONE_PROCESS: &str = "-c jit=off -c max_parallel_workers_per_gather=0";

/// A running server with its data sets.
pub struct Server(postgres::Server);

impl Server {
    /// Starts it; it ends with this process. Nothing works in it by itself.
    pub fn start() -> Self {
        let settings = [("autovacuum", "off"), ("max_wal_size", "4GB")];
        Self(postgres::Server::start(Path::new(BINARIES), &settings))
    }

    /// As superuser.
    pub fn endpoint(&self, database: &str) -> Endpoint {
        self.0.endpoint(database)
    }

    /// Runs SQL and gives what psql prints.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        self.0.psql(database, sql)
    }

    /// The directory of the socket.
    pub fn host(&self) -> &Path {
        &self.0.directory
    }

    /// The pid of the postmaster.
    pub fn postmaster(&self) -> i32 {
        postmaster(&self.0.directory.join("data"))
    }

    /// A client program, told where the server is.
    pub fn client(&self, program: &str, database: &str) -> Command {
        client(self.host(), program, "postgres", database)
    }

    /// psql, in one process of the server, that stops at an error.
    pub fn sql(&self, database: &str) -> Command {
        let mut psql = self.client("psql", database);
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1"])
            .env("PGOPTIONS", ONE_PROCESS);
        psql
    }

    /// The tables of a database, quoted.
    pub fn tables(&self, database: &str) -> Vec<String> {
        let names = self.psql(
            database,
            "select format('%I.%I', schemaname, tablename) from pg_tables \
             where schemaname = 'public' order by 1",
        );
        names.lines().map(str::to_owned).collect()
    }
}

/// A client program of the server at `host`.
pub fn client(host: &Path, program: &str, user: &str, database: &str) -> Command {
    let mut command = Command::new(format!("{BINARIES}/{program}"));
    command
        .env("PGHOST", host)
        .env("PGPORT", PORT.to_string())
        .env("PGUSER", user)
        .env("PGDATABASE", database);
    command
}

/// The pid in a data directory; 0 where no server runs in it.
pub fn postmaster(data: &Path) -> i32 {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let line = text.lines().next().and_then(|line| line.parse().ok());
    line.unwrap_or_default()
}
