//! The schema of a database, read from the catalogs.
//!
//! A handful of statements, pipelined on one connection, whatever the number
//! of objects. Each gives rows of class, name, facet and value. They rely on
//! the session's pinned `search_path`, under which the server prints every
//! name qualified.

mod template;

use std::sync::{Mutex, PoisonError};

use futures_util::{TryStreamExt, future::try_join_all, pin_mut};

use super::{error::failure, session::Session};
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
    try_join_all(statements.iter().map(|sql| read(session, sql, &inventory)))
        .await
        .map_err(|error| failure(DOING, &error))?;
    Ok(inventory
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner))
}

/// Row by row: all rows of a large schema at once would take more memory than
/// the inventory itself.
async fn read(
    session: &Session,
    sql: &str,
    inventory: &Mutex<Inventory>,
) -> Result<(), tokio_postgres::Error> {
    let none: [&str; 0] = [];
    let rows = session.client().query_raw(sql, none).await?;
    pin_mut!(rows);
    while let Some(row) = rows.try_next().await? {
        let mut inventory = inventory.lock().unwrap_or_else(PoisonError::into_inner);
        inventory.add(row.get(0), row.get(1), row.get(2), row.get(3));
    }
    Ok(())
}
