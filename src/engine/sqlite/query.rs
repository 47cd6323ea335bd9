//! The user's queries: one statement each, read-only, bounded.

use std::time::Duration;

use rusqlite::{Connection, types::Value};

use super::connection::{failure, limit_time};
use crate::{
    domain::failure::{Failure, FailureKind},
    engine::{
        Context,
        expect::{Answer, MOST_ROWS},
    },
};

const TIME_LIMIT: Duration = Duration::from_mins(5);

/// The rows of the statement, as text.
pub(super) fn ask(cx: &Context, connection: &Connection, sql: &str) -> Result<Answer, Failure> {
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
    let mut answer = Answer::default();
    while let Some(row) = cursor.next().map_err(sql_error)? {
        if answer.rows.len() == MOST_ROWS {
            answer.cut_off = true;
            break;
        }
        let values = (0..columns).map(|at| row.get::<_, Value>(at).map(|value| text(&value)));
        answer
            .rows
            .push(values.collect::<Result<_, _>>().map_err(sql_error)?);
    }
    Ok(answer)
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
