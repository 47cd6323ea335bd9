//! A PostgreSQL database as the source of a drill.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::LazyLock,
};

use super::{
    postgres::{BINARIES, PORT, Server},
    world::Source,
};

/// A server whose roles no test changes.
pub static QUIET: LazyLock<Server> = LazyLock::new(|| Server::start(Path::new(BINARIES), &[]));

/// A bit of everything that a run touches, quickly dumped.
pub const SMALL: &str = "\
    create table orders (id bigint generated always as identity primary key, note text not null, \
        twice bigint generated always as (length(note) * 2) stored); \
    insert into orders (note) select 'it''s; \\ ' || i from generate_series(1, 2000) i; \
    create table lines (id bigint references orders, n int); \
    insert into lines select i, i from generate_series(1, 1000) i; \
    create index on lines (n); \
    create materialized view total as select sum(n) from lines; \
    create function one() returns int language sql begin atomic select 1; end; \
    select lo_from_bytea(0, 'a large object'); \
    create sequence numbers; select nextval('numbers')";

/// A database of a server, and how a drill reaches it.
pub struct Database {
    pub server: &'static Server,
    pub name: String,
    /// Further fields of the connection, such as a password.
    pub connection: String,
    /// Further fields of the workload, such as tools.
    pub workload: String,
}

impl Database {
    /// A database that is there.
    pub fn named(server: &'static Server, name: String) -> Self {
        Self {
            server,
            name,
            connection: "user: postgres".to_owned(),
            workload: String::new(),
        }
    }

    /// A new database, filled by `sql`.
    pub fn filled(server: &'static Server, sql: &str) -> Self {
        let name = server.database();
        server.psql(&name, sql);
        Self::named(server, name)
    }

    /// A session that has run `sql` and stays open until it is dropped.
    pub fn hold(&self, sql: &str) -> Held {
        let mut psql = self
            .client("psql")
            .args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", &self.name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = psql.stdin.take().unwrap();
        writeln!(stdin, "{sql}; select 'held';").unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(psql.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "held\n", "{sql}");
        Held { psql, stdin }
    }

    /// The queries that wait for a lock.
    pub fn waiting(&self) -> Vec<String> {
        let sql = format!(
            "select query from pg_stat_activity where datname = '{}' and wait_event_type = 'Lock'",
            self.name
        );
        let told = self.server.psql("postgres", &sql);
        told.lines().map(str::to_owned).collect()
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.server.binaries.join(program));
        command
            .args(["-U", "postgres", "-p", &PORT.to_string(), "-h"])
            .arg(&self.server.directory);
        command
    }

    /// A new database of [`QUIET`] with [`SMALL`].
    pub fn small() -> Self {
        Self::filled(&QUIET, SMALL)
    }

    /// A dump of it, in a format as `pg_dump` calls it.
    pub fn dump(&self, format: &str) -> Vec<u8> {
        let mut pg_dump = self.client("pg_dump");
        let output = pg_dump.args(["-F", format, &self.name]).output().unwrap();
        assert!(output.status.success(), "pg_dump ended in a failure");
        output.stdout
    }

    /// The roles of its server, as `pg_dumpall` writes them.
    pub fn globals(&self) -> String {
        self.told("pg_dumpall", &["--globals-only"])
    }

    /// What a client program prints.
    fn told(&self, program: &str, args: &[&str]) -> String {
        let output = self.client(program).args(args).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program}: {told}");
        let text = String::from_utf8(output.stdout).unwrap();
        // Newer versions write a random word into these.
        let lines = text.lines().filter(|line| !line.contains("restrict "));
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// An open session.
pub struct Held {
    psql: Child,
    stdin: ChildStdin,
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = writeln!(self.stdin, "\\q");
        let _ = self.psql.wait();
    }
}

impl Source for Database {
    fn workload(&self) -> String {
        format!(
            "{{ postgresql: {{ connection: {{ host: \"{}\", port: {PORT}, database: {}, {} }}, {} }} }}",
            self.server.directory.display(),
            self.name,
            self.connection,
            self.workload
        )
    }

    fn content(&self) -> String {
        let mut told = self.told("pg_dump", &["--create", &self.name]);
        // Tests beside this one make roles on every other server.
        if std::ptr::eq(self.server, &raw const *QUIET) {
            told += &self.globals();
        }
        told
    }

    fn guests(&self) -> Vec<String> {
        let sql = format!(
            "select pid, application_name, query from pg_stat_activity \
             where datname = '{}' and application_name like 'lifeboat%'",
            self.name
        );
        let told = self.server.psql("postgres", &sql);
        told.lines().map(str::to_owned).collect()
    }
}
