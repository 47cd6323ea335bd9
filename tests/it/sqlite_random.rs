//! Random tables: a copy is always equal, and any one change is found.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use lifeboat::domain::check::{CheckKind, Outcome};
use proptest::prelude::*;
use rusqlite::{params, types::Value};

use crate::sqlite_drill::{Place, copy_of};

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Real),
        ".{0,12}".prop_map(Value::Text),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Blob),
    ]
}

#[derive(Debug, Clone)]
enum Change {
    Drop,
    Double,
    Set(Value),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Drop),
        Just(Change::Double),
        value().prop_map(Change::Set)
    ]
}

async fn check(
    rows: Vec<(Value, Value)>,
    pick: usize,
    change: Change,
) -> Result<(), TestCaseError> {
    let place =
        Place::new("create table t (a, b); create table w (k integer primary key) without rowid");
    let source = rusqlite::Connection::open(place.source()).unwrap();
    source.execute_batch("begin").unwrap();
    for (a, b) in &rows {
        source
            .execute("insert into t values (?1, ?2)", params![a, b])
            .unwrap();
    }
    source.execute_batch("commit").unwrap();
    let point = place.capture().await;
    let instance = place.restore(&point).await;
    let found = |verification: lifeboat::engine::Verification| {
        let mut checks = verification.checks.into_iter();
        checks
            .find(|check| check.kind == CheckKind::Fingerprints)
            .unwrap()
    };
    prop_assert_eq!(
        found(place.verify(&point, &instance).await).outcome,
        Outcome::Pass
    );

    let rowid = i64::try_from(pick).unwrap() + 1;
    let copy = copy_of(&instance);
    match change {
        Change::Drop => copy
            .execute("delete from t where rowid = ?1", [rowid])
            .unwrap(),
        Change::Double => copy
            .execute("insert into t select * from t where rowid = ?1", [rowid])
            .unwrap(),
        Change::Set(value) => {
            let sql = "update t set a = ?2 where rowid = ?1 and \
                       (a is not ?2 or typeof(a) is not typeof(?2))";
            copy.execute(sql, params![rowid, value]).unwrap()
        }
    };
    prop_assume!(copy.changes() == 1);
    drop(copy);
    let fingerprints = found(place.verify(&point, &instance).await);
    prop_assert_eq!(fingerprints.outcome, Outcome::Fail);
    let finding = &fingerprints.findings[0];
    let named = if finding.message.contains("extra") {
        rows.len() + 1
    } else {
        pick + 1
    };
    prop_assert!(
        finding.message.contains(&format!("row {named} is")),
        "{}",
        finding.message
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_copy_is_equal_and_any_one_change_is_found_and_named(
        rows in prop::collection::vec((value(), value()), 1..40),
        pick in any::<prop::sample::Index>(),
        change in change(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let pick = pick.index(rows.len());
        runtime.block_on(check(rows, pick, change))?;
    }
}
