//! The data sets.

use std::process::{Command, Stdio};

use super::{Options, Server, shell};

const ORDERS: &str = include_str!("../data/orders.sql");

/// A database of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataSet {
    /// One large, narrow table: `pgbench -i -s 50`.
    Accounts,
    /// Eight tables of ordinary rows.
    Orders,
    /// The same tables, an eighth as long.
    OrdersSmall,
    /// The same tables, almost empty.
    Few,
    /// Thousands of tables.
    Many,
    /// Wide rows with values out of line.
    Wide,
    /// JSON and XML.
    Documents,
}

impl DataSet {
    /// The name of its database.
    pub fn database(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Orders => "orders",
            Self::OrdersSmall => "orders_small",
            Self::Few => "few",
            Self::Many => "many",
            Self::Wide => "wide",
            Self::Documents => "documents",
        }
    }

    /// Makes it, if it is not there.
    pub fn make(self, server: &Server, options: &Options) -> anyhow::Result<()> {
        let name = self.database();
        let there = format!("select 1 from pg_database where datname = '{name}'");
        if !server.psql("postgres", &there).is_empty() {
            return Ok(());
        }
        eprintln!("bench: making data set {name}");
        server.psql("postgres", &format!("create database {name}"));
        match self {
            Self::Accounts => {
                let scale = options.scaled(50, 1).to_string();
                let mut pgbench = server.client("pgbench", name);
                shell::run(pgbench.args(["-i", "-q", "-n", "-s", &scale]))?;
            }
            Self::Orders => load(server, name, ORDERS, options.scaled(330_000, 20))?,
            Self::OrdersSmall => load(server, name, ORDERS, options.scaled(41_000, 20))?,
            Self::Few => load(server, name, ORDERS, 10)?,
            Self::Many => {
                let sql = include_str!("../data/many.sql");
                load(server, name, sql, options.scaled(5000, 20))?;
            }
            Self::Wide => {
                let sql = include_str!("../data/wide.sql");
                load(server, name, sql, options.scaled(40_000, 20))?;
            }
            Self::Documents => {
                let sql = include_str!("../data/documents.sql");
                load(server, name, sql, options.scaled(500_000, 20))?;
            }
        }
        // Rows that are known to be visible, and nothing left to write out: no
        // contender pays for what another one left behind.
        server.psql(name, "vacuum (freeze, analyze)");
        server.psql(name, "checkpoint");
        Ok(())
    }
}

fn load(server: &Server, database: &str, sql: &str, rows: u32) -> anyhow::Result<()> {
    let mut psql = server.sql(database);
    psql.arg("-v").arg(format!("rows={rows}")).args(["-f", "-"]);
    fed(&mut psql, sql)
}

/// Runs a program that reads `text`.
fn fed(command: &mut Command, text: &str) -> anyhow::Result<()> {
    use std::io::Write as _;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    let status = child.wait()?;
    anyhow::ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
