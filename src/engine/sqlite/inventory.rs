//! The schema, read from `sqlite_schema` and the pragma functions.

use rusqlite::{Connection, Row};

use super::connection::quote;
use crate::domain::inventory::Inventory;

/// Reads every object; within the connection's transaction, if one is open.
pub(super) fn take(connection: &Connection) -> rusqlite::Result<Inventory> {
    let mut inventory = Inventory::new("sqlite 3");
    for name in ["user_version", "application_id"] {
        let value: i64 = connection.pragma_query_value(None, name, |row| row.get(0))?;
        inventory.add("database", "main", name, &value.to_string());
    }
    let mut statement = connection.prepare(
        "select type, name, tbl_name, coalesce(sql, '') from main.sqlite_schema order by name",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (class, name, table) = (text(row, 0)?, text(row, 1)?, text(row, 2)?);
        inventory.add(&class, &quote(&name), "definition", &text(row, 3)?);
        if class != "table" {
            inventory.add(&class, &quote(&name), "table", &quote(&table));
        }
    }
    drop(rows);
    columns(connection, &mut inventory)?;
    Ok(inventory)
}

fn columns(connection: &Connection, inventory: &mut Inventory) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(
        "select t.name, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk, c.hidden \
         from pragma_table_list t, pragma_table_xinfo(t.name) c \
         where t.schema = 'main' and t.type in ('table', 'shadow')",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let name = format!("{}.{}", quote(&text(row, 0)?), quote(&text(row, 1)?));
        for (at, facet) in ["type", "not null", "default", "key", "hidden"]
            .iter()
            .enumerate()
        {
            inventory.add("column", &name, facet, &text(row, at + 2)?);
        }
    }
    Ok(())
}

/// Texts need not be UTF-8 in SQLite.
fn text(row: &Row<'_>, at: usize) -> rusqlite::Result<String> {
    use rusqlite::types::ValueRef;
    Ok(match row.get_ref(at)? {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
    })
}
