//! The user's queries: one statement each, read-only, bounded.

use std::time::Duration;

use rusqlite::{Connection, types::Value};

use super::connection::{failure, limit_time};
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::Context,
};

/// More rows than this are no answer to a check.
const MAX_ROWS: usize = 10_000;
const TIME_LIMIT: Duration = Duration::from_mins(5);

/// All rows of the statement, as text.
pub(super) fn rows(
    cx: &Context,
    connection: &Connection,
    sql: &str,
) -> Result<Vec<Vec<Option<String>>>, Failure> {
    limit_time(cx, connection, TIME_LIMIT).map_err(|error| failure("query", &error))?;
    let sql_error = |error: rusqlite::Error| failure("query", &error);
    let mut statement = connection.prepare(sql).map_err(sql_error)?;
    if !statement.readonly() {
        return Err(Failure::new(
            FailureKind::Invalid,
            "the statement would write",
        ));
    }
    let columns = statement.column_count();
    let mut cursor = statement.query([]).map_err(sql_error)?;
    let mut all = Vec::new();
    while let Some(row) = cursor.next().map_err(sql_error)? {
        if all.len() == MAX_ROWS {
            let message = format!("the query gives more than {MAX_ROWS} rows");
            return Err(Failure::new(FailureKind::Invalid, message));
        }
        let values = (0..columns).map(|at| row.get::<_, Value>(at).map(|value| text(&value)));
        all.push(values.collect::<Result<_, _>>().map_err(sql_error)?);
    }
    Ok(all)
}

/// A value as text; a blob in hexadecimal.
pub(super) fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => hexadecimal(bytes),
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
