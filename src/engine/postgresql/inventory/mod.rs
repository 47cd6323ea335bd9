//! The schema of a database, read from the catalogs.
//!
//! A handful of statements, pipelined on one connection, whatever the number
//! of objects. Each gives rows of class, name, facet and value. They rely on
//! the session's pinned `search_path`, under which the server prints every
//! name qualified.

mod template;

use std::sync::{Mutex, PoisonError};

use futures_util::future::try_join_all;
use tokio_postgres::Row;

use super::session::Session;
use crate::domain::{failure::Failure, inventory::Inventory};

const STATEMENTS: [&str; 11] = [
    include_str!("sql/relations.sql"),
    include_str!("sql/columns.sql"),
    include_str!("sql/constraints.sql"),
    include_str!("sql/indexes.sql"),
    include_str!("sql/sequences.sql"),
    include_str!("sql/routines.sql"),
    include_str!("sql/triggers.sql"),
    include_str!("sql/types.sql"),
    include_str!("sql/operators.sql"),
    include_str!("sql/database.sql"),
    include_str!("sql/notes.sql"),
];

/// Database, roles, collation versions.
const ENVIRONMENT: &str = include_str!("sql/environment.sql");

/// Reads every object of the session's database; within the session's
/// transaction, if one is open. Needs no rights beyond connecting. No
/// passwords, and no options of user mappings or subscriptions, are read.
///
/// # Errors
/// If the server can't be asked.
pub async fn take(session: &Session) -> Result<Inventory, Failure> {
    const DOING: &str = "read the schema";
    let version = session
        .row(
            DOING,
            // Compiling these statements takes longer than running them.
            "SELECT current_setting('server_version_num')::int, set_config('jit', 'off', false)",
            &[],
        )
        .await?
        .get::<_, i32>(0);
    let statements: Vec<String> = STATEMENTS
        .iter()
        .chain([&ENVIRONMENT])
        .map(|sql| template::expand(sql, version))
        .collect();
    let inventory = Mutex::new(Inventory::new(format!("postgresql {}", version / 10_000)));
    let add = |row: Row| {
        let mut inventory = inventory.lock().unwrap_or_else(PoisonError::into_inner);
        inventory.add(row.get(0), row.get(1), row.get(2), row.get(3));
    };
    try_join_all(
        statements
            .iter()
            .map(|sql| session.each(DOING, sql, &[], add)),
    )
    .await?;
    Ok(inventory
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner))
}
