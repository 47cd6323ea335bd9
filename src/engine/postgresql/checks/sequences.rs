//! Sequences must not be behind the columns they fill: the next insert would
//! take a key that is taken.

use futures_util::future::try_join_all;

use crate::{
    domain::{
        check::{CheckKind, CheckResult, Finding},
        failure::Failure,
        fingerprint::Fingerprint,
    },
    engine::postgresql::session::Session,
};

const NAME: &str = "sequences";
const KIND: CheckKind = CheckKind::Schema;
const DOING: &str = "compare sequences with their columns";

/// Whole-number columns with the sequence they own.
const OWNED: &str = "
    SELECT format('%I.%I', n.nspname, c.relname), format('%I.%I', m.nspname, t.relname),
        quote_ident(a.attname), s.seqincrement < 0
    FROM pg_sequence s
    JOIN pg_class c ON c.oid = s.seqrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
        AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    JOIN pg_class t ON t.oid = d.refobjid
    JOIN pg_namespace m ON m.oid = t.relnamespace
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
    WHERE NOT s.seqcycle AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
    ORDER BY 1";

struct Owned {
    sequence: String,
    table: String,
    column: String,
    descending: bool,
}

struct Standing {
    last: i64,
    called: bool,
    furthest: Option<i64>,
}

/// Compares every owned sequence with its column. Where the source's
/// fingerprint shows that the sequence stood just so at the cut, the backup is
/// not at fault.
///
/// # Errors
/// If the copy can't be asked.
pub async fn check(
    session: &Session,
    source: Option<&Fingerprint>,
) -> Result<CheckResult, Failure> {
    let owned: Vec<Owned> = session
        .rows(DOING, OWNED, &[])
        .await?
        .iter()
        .map(|row| Owned {
            sequence: row.get(0),
            table: row.get(1),
            column: row.get(2),
            descending: row.get(3),
        })
        .collect();
    let standings = match ask_all(session, &owned).await {
        Err(failure) if failure.kind.condemns_backup() => {
            // An index can be damaged; that is for the integrity check to say.
            let sql = "SET enable_indexscan = off; SET enable_indexonlyscan = off";
            session.batch(DOING, sql).await?;
            ask_all(session, &owned).await
        }
        other => other,
    };
    let standings = match standings {
        Ok(standings) => standings,
        Err(failure) if failure.kind.condemns_backup() => {
            let finding = Finding::error("the copy", failure.message);
            return Ok(super::concluded(
                NAME,
                KIND,
                "cannot be read",
                vec![finding],
            ));
        }
        Err(failure) => return Err(failure),
    };
    let findings = owned
        .iter()
        .zip(&standings)
        .filter_map(|(owned, standing)| finding(owned, standing, source))
        .collect();
    let summary = format!("{} sequences compared with their columns", owned.len());
    Ok(super::concluded(NAME, KIND, summary, findings))
}

async fn ask_all(session: &Session, owned: &[Owned]) -> Result<Vec<Standing>, Failure> {
    try_join_all(owned.iter().map(|owned| async move {
        let furthest = if owned.descending { "min" } else { "max" };
        let sql = format!(
            "SELECT last_value, is_called, (SELECT {furthest}({})::bigint FROM {}) FROM {}",
            owned.column, owned.table, owned.sequence
        );
        let row = session.row(DOING, &sql, &[]).await?;
        Ok(Standing {
            last: row.get(0),
            called: row.get(1),
            furthest: row.get(2),
        })
    }))
    .await
}

fn finding(owned: &Owned, standing: &Standing, source: Option<&Fingerprint>) -> Option<Finding> {
    let furthest = standing.furthest?;
    let behind = if owned.descending {
        furthest < standing.last
    } else {
        furthest > standing.last
    };
    // Not called yet, it will give its last value first.
    if !behind && (standing.called || furthest != standing.last) {
        return None;
    }
    let subject = format!("sequence {}", owned.sequence);
    let message = format!(
        "stands at {}, and {}.{} is at {furthest} already",
        standing.last, owned.table, owned.column
    );
    let bounds = source.and_then(|source| source.sequences.get(&owned.sequence));
    if bounds.is_some_and(|b| (b.low..=b.high).contains(&standing.last)) {
        let message = format!("{message}; so it was at the source");
        return Some(Finding::warning(subject, message));
    }
    let hint = "inserts will fail until it is set: select setval(…)";
    Some(Finding::error(subject, message).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(last: i64, called: bool, furthest: Option<i64>, descending: bool) -> bool {
        let owned = Owned {
            sequence: "s".into(),
            table: "t".into(),
            column: "c".into(),
            descending,
        };
        let standing = Standing {
            last,
            called,
            furthest,
        };
        finding(&owned, &standing, None).is_some()
    }

    #[test]
    fn the_next_value_must_be_free() {
        assert!(!behind(7, true, Some(7), false));
        assert!(behind(7, false, Some(7), false));
        assert!(behind(7, true, Some(8), false));
        assert!(!behind(1, false, None, false));
        assert!(!behind(1, false, Some(-5), false));
        assert!(behind(-3, true, Some(-4), true));
        assert!(!behind(-4, true, Some(-4), true));
    }
}
