//! Numbers of rows within bounds.

use super::{queries::own_fault, reader::Reader};
use crate::{
    domain::{
        check::{CheckKind, CheckResult, Finding},
        failure::Failure,
    },
    spec::drill::RowCountCheck,
};

/// Counts the table's rows.
///
/// # Errors
/// If the copy can't be reached, or counting takes too long.
pub async fn check(reader: &Reader, wanted: &RowCountCheck) -> Result<CheckResult, Failure> {
    let name = format!("row count: {}", wanted.table);
    let subject = format!("table {}", wanted.table);
    let (summary, findings) = match count(reader, &wanted.table).await {
        Ok(Some(rows)) => (
            format!("{rows} rows"),
            out_of_bounds(rows, wanted)
                .map(|message| Finding::error(subject, message))
                .into_iter()
                .collect(),
        ),
        Ok(None) => (
            "not counted".to_owned(),
            vec![Finding::error(subject, "is not in the copy")],
        ),
        Err(failure) => (
            "not counted".to_owned(),
            vec![Finding::error(subject, own_fault(failure, &name)?)],
        ),
    };
    Ok(super::concluded(
        &name,
        CheckKind::RowCount,
        summary,
        findings,
    ))
}

fn out_of_bounds(rows: u64, wanted: &RowCountCheck) -> Option<String> {
    if let Some(min) = wanted.min.filter(|min| rows < *min) {
        return Some(format!("has {rows} rows, expected at least {min}"));
    }
    let max = wanted.max.filter(|max| rows > *max)?;
    Some(format!("has {rows} rows, expected at most {max}"))
}

async fn count(reader: &Reader, table: &str) -> Result<Option<u64>, Failure> {
    const DOING: &str = "cannot count";
    let session = reader.open().await?;
    let sql = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c \
               JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";
    let found = session.rows(DOING, sql, &[&table]).await?;
    let Some(found) = found.first() else {
        return Ok(None);
    };
    // It is the table that is counted: a damaged index is another check's.
    let settings = "SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_indexscan = off; \
                    SET LOCAL enable_bitmapscan = off";
    session.batch(DOING, settings).await?;
    let sql = format!("SELECT count(*) FROM {}", found.get::<_, String>(0));
    let rows: i64 = session.row(DOING, &sql, &[]).await?.get(0);
    Ok(u64::try_from(rows).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_include_their_ends() {
        let wanted = RowCountCheck {
            table: "t".into(),
            min: Some(2),
            max: Some(4),
        };
        let bad: Vec<u64> = (0..7)
            .filter(|n| out_of_bounds(*n, &wanted).is_some())
            .collect();
        assert_eq!(bad, [0, 1, 5, 6]);
    }
}
