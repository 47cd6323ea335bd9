//! The checks of a copy, and the faults that they have to notice.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use lifeboat::{
    domain::{
        canary::{Acknowledged, CanaryLog},
        check::{CheckResult, Outcome},
        objective::RpoBasis,
        recovery_point::{Artifact, Cut, CutBasis, Ownership, RecoveryPoint},
    },
    engine::{
        Copy, Fault, Instance, Verification, VerifyRequest,
        postgresql::{
            PostgresEngine, checks::sequences, endpoint::ScratchCluster, fingerprint, inventory,
            session::Session,
        },
    },
    spec::drill::{
        Canary, Checks, Comparison, Equality, Expectation, Integrity, PostgresqlConnection,
        QueryCheck, RowCountCheck, TlsMode,
    },
};

use crate::support::{
    self,
    engine::{no_checks, postgres},
    postgres::SERVER,
    rich,
};

const CANARY: &str = "public.canary";

/// Stands for the scratch server's own role.
const SUPERUSER: &str = "lifeboat_scratch";

fn checks() -> Checks {
    Checks {
        schema: true,
        environment: true,
        ..no_checks()
    }
}

fn engine(checks: Checks) -> PostgresEngine {
    let (cx, _) = support::context();
    PostgresEngine {
        canary: Some(Canary {
            table: CANARY.into(),
            interval: Duration::from_secs(1),
        }),
        checks,
        ..postgres(cx.run)
    }
}

fn instance(database: &str) -> Instance {
    let cluster = ScratchCluster {
        socket_directory: SERVER.directory.clone(),
        port: 5432,
        superuser: SUPERUSER.into(),
        database: database.into(),
        data_directory: SERVER.directory.join("data"),
        bin_directory: SERVER.binaries.clone(),
        version_num: 150_000,
    };
    Instance {
        dir: SERVER.directory.clone(),
        endpoint: serde_json::to_value(cluster).unwrap(),
    }
}

/// A small shop with a canary table of 9 writes.
fn shop() -> String {
    let database = SERVER.database();
    let role = format!(
        "do $$ begin create role {SUPERUSER} superuser login; \
         exception when duplicate_object or unique_violation then null; end $$"
    );
    SERVER.psql("postgres", &role);
    SERVER.psql(
        &database,
        "create table orders (id serial primary key, placed timestamptz, note text, code text unique); \
         insert into orders (placed, note, code) select \
             '2026-03-01 11:00:00+00'::timestamptz + i * interval '1 s', 'note ' || i, 'c' || i \
             from generate_series(1, 2000) i; \
         create index orders_note_idx on orders (note); \
         create table items (id bigint primary key, amount int); \
         insert into items select i, i from generate_series(1, 100) i; \
         create table canary (sequence bigint primary key, written_at timestamptz not null, run text); \
         insert into canary select i, '2026-03-01 11:59:50+00'::timestamptz + i * interval '1 s', 'r' \
             from generate_series(1, 9) i",
    );
    database
}

async fn open(database: &str) -> Session {
    let (cx, _) = support::context();
    Session::open(&SERVER.endpoint(database), cx.run)
        .await
        .unwrap()
}

/// A recovery point whose source looked just as `database` does now.
async fn point(database: &str) -> RecoveryPoint {
    let at = |n: i64| Timestamp::from_second(1_772_366_390 + n).unwrap();
    RecoveryPoint {
        artifact: Artifact::LogicalDump {
            path: "d".into(),
            format: "custom".into(),
        },
        ownership: Ownership::Ours,
        cut: Cut {
            at: None,
            basis: CutBasis::Snapshot,
            position: None,
            newest_commit: Some(at(20)),
        },
        size_bytes: 1,
        producer: None,
        source_version: None,
        fingerprint: None,
        inventory: Some(inventory::take(&open(database).await).await.unwrap()),
        canary: Some(CanaryLog {
            table: CANARY.into(),
            before_cut: (1..=9)
                .map(|n| Acknowledged {
                    sequence: n,
                    at: at(n),
                    position: None,
                })
                .collect(),
            after_cut: 0,
        }),
        details: BTreeMap::new(),
    }
}

async fn verify(engine: &PostgresEngine, point: &RecoveryPoint, database: &str) -> Verification {
    let (cx, heard) = support::context();
    let request = VerifyRequest {
        point,
        source: None,
        declared_at: "2026-03-01T12:00:00Z".parse().unwrap(),
    };
    let verification = engine
        .verify(&cx, request, &instance(database))
        .await
        .unwrap();
    let events = heard.0.lock().unwrap();
    let told = events
        .iter()
        .filter(|e| matches!(e, lifeboat::domain::event::EventKind::CheckDone { .. }))
        .count();
    assert_eq!(told, verification.checks.len(), "every check is told once");
    verification
}

fn outcomes(checks: &[CheckResult]) -> Vec<(&str, Outcome)> {
    checks
        .iter()
        .map(|c| (c.name.as_str(), c.outcome))
        .collect()
}

fn failed(verification: &Verification) -> Vec<String> {
    let mut lines = Vec::new();
    for check in &verification.checks {
        for finding in check
            .findings
            .iter()
            .filter(|_| check.outcome == Outcome::Fail)
        {
            lines.push(format!(
                "{}: {} {}",
                check.name, finding.subject, finding.message
            ));
        }
    }
    lines
}

fn query(name: &str, sql: &str, expect: Expectation) -> QueryCheck {
    QueryCheck {
        name: name.into(),
        sql: sql.into(),
        expect,
    }
}

fn count(table: &str, min: u64, max: u64) -> RowCountCheck {
    RowCountCheck {
        table: table.into(),
        min: Some(min),
        max: Some(max),
    }
}

#[tokio::test]
async fn a_good_copy_passes_every_check() {
    let database = shop();
    let point = point(&database).await;
    let engine = engine(Checks {
        integrity: Integrity::Full,
        row_counts: vec![count("public.orders", 2000, 2000)],
        queries: vec![query(
            "sum",
            "select sum(amount) from items",
            Expectation::Value {
                operator: Comparison::Equal,
                operand: "5050".into(),
            },
        )],
        newest_write: Some("select max(placed) from orders".into()),
        ..checks()
    });
    let verification = verify(&engine, &point, &database).await;
    let expected = [
        ("fingerprints", Outcome::Untested),
        ("schema", Outcome::Pass),
        ("environment", Outcome::Pass),
        ("sequences", Outcome::Pass),
        ("canary", Outcome::Pass),
        ("views", Outcome::Pass),
        ("row count: public.orders", Outcome::Pass),
        ("query: sum", Outcome::Pass),
        ("query: newest write", Outcome::Pass),
        ("integrity", Outcome::Pass),
    ];
    assert_eq!(
        outcomes(&verification.checks),
        expected,
        "{verification:#?}"
    );
    let bases: Vec<_> = verification.newest_writes.iter().map(|w| w.basis).collect();
    assert_eq!(bases, [RpoBasis::Canary, RpoBasis::Engine, RpoBasis::Query]);
    let newest = verification.newest_writes[2].at.to_string();
    assert_eq!(newest, "2026-03-01T11:33:20Z");
    let left = "select count(*) from pg_extension where extname = 'amcheck'";
    assert_eq!(
        SERVER.psql(&database, left),
        "0",
        "amcheck is taken out again"
    );
}

#[tokio::test]
async fn checks_that_are_off_or_lack_their_ground_are_untested() {
    let database = shop();
    let mut point = point(&database).await;
    point.inventory = None;
    point.canary = None;
    let off = Checks {
        environment: false,
        ..checks()
    };
    let verification = verify(&engine(off), &point, &database).await;
    for check in &verification.checks {
        let expected = match check.name.as_str() {
            "sequences" | "views" => Outcome::Pass,
            _ => Outcome::Untested,
        };
        assert_eq!(check.outcome, expected, "{check:?}");
        assert!(!check.summary.is_empty());
    }
}

#[tokio::test]
async fn bounds_queries_and_errors_are_judged() {
    let database = shop();
    let point = point(&database).await;
    let value = |operator, operand: &str| Expectation::Value {
        operator,
        operand: operand.to_owned(),
    };
    let age = |seconds| Expectation::Age {
        operator: Comparison::LessOrEqual,
        limit: Duration::from_secs(seconds),
    };
    let newest = "select max(placed) from orders";
    let some = || Expectation::SomeRows;
    let queries = vec![
        query("young enough", newest, age(1600)),
        query("too old", newest, age(1599)),
        query(
            "value",
            "select count(*) from orders",
            value(Comparison::GreaterOrEqual, "2001"),
        ),
        query(
            "rows",
            "select id, note from orders order by id limit 1;",
            Expectation::Rows(vec![vec![Some("1".into()), Some("note 1".into())]]),
        ),
        query("none", "select 1 where false", Expectation::NoRows),
        query(
            "too many",
            "select * from generate_series(1, 50000)",
            Expectation::NoRows,
        ),
        query("broken", "select nothing from nowhere", some()),
        query("two statements", "select 1; drop table items", some()),
        query("writes", "delete from items returning id", some()),
        query(
            "escapes",
            "select set_config('transaction_read_only', 'off', false)",
            some(),
        ),
        query("rises", "set role postgres", some()),
        query("reads files", "select pg_read_file('PG_VERSION')", some()),
    ];
    let engine = engine(Checks {
        row_counts: vec![
            count("orders", 2001, 5000),
            count("public.gone", 0, 1),
            count("items", 1, 100),
        ],
        queries,
        newest_write: Some("select 'no time'".into()),
        ..checks()
    });
    let verification = verify(&engine, &point, &database).await;
    let passed: Vec<_> = verification
        .checks
        .iter()
        .filter(|c| c.outcome == Outcome::Pass)
        .map(|c| c.name.as_str())
        .collect();
    let expected = [
        "schema",
        "environment",
        "sequences",
        "canary",
        "views",
        "row count: items",
        "query: young enough",
        "query: rows",
        "query: none",
    ];
    assert_eq!(passed, expected, "{:#?}", failed(&verification));
    let failed = failed(&verification);
    assert_eq!(failed.len(), 12, "{failed:#?}");
    assert_eq!(
        failed[0],
        "row count: orders: table orders has 2000 rows, expected at least 2001"
    );
    assert!(failed[2].contains("expected <= 1599 s"), "{failed:#?}");
    assert!(
        failed.iter().any(|f| f.contains("gave 10000 or more rows")),
        "{failed:#?}"
    );
    assert_eq!(SERVER.psql(&database, "select count(*) from items"), "100");
}

#[tokio::test]
async fn lost_canary_writes_are_named() {
    let database = shop();
    let point = point(&database).await;
    SERVER.psql(&database, "delete from canary where sequence in (2, 9)");
    let verification = verify(&engine(checks()), &point, &database).await;
    let found = failed(&verification);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("canary: canary write 2 of 9 "),
        "{found:?}"
    );
    let canary = verification.canary.unwrap();
    assert_eq!((canary.acknowledged, canary.lost), (9, vec![2, 9]));
    assert_eq!(canary.newest.unwrap().to_string(), "2026-03-01T11:59:58Z");

    SERVER.psql(&database, "drop table canary");
    let verification = verify(&engine(checks()), &point, &database).await;
    assert_eq!(verification.canary.unwrap().lost.len(), 9);
}

#[tokio::test]
async fn a_sequence_behind_its_column_is_told() {
    let database = shop();
    let session = open(&database).await;
    SERVER.psql(&database, "select setval('orders_id_seq', 1999)");
    let check = sequences::check(&session, None).await.unwrap();
    assert_eq!(check.outcome, Outcome::Fail);
    assert_eq!(check.findings[0].subject, "sequence public.orders_id_seq");
    SERVER.psql(&database, "select setval('orders_id_seq', 2000)");
    let check = sequences::check(&session, None).await.unwrap();
    assert_eq!(check.outcome, Outcome::Pass);
}

/// The view is made of a function whose body only names its table.
#[tokio::test]
async fn a_view_that_fails_is_the_backups_fault_where_it_works_at_the_source() {
    let source = shop();
    SERVER.psql(
        &source,
        "create table rates (rate int); insert into rates values (7); \
         create function rate() returns int language sql as 'select rate from public.rates'; \
         create view priced as select o.id, public.rate() from orders o",
    );
    let copy = rich::copy_of(&SERVER, &source);
    SERVER.psql(&copy, "drop table rates");
    let mut point = point(&source).await;
    point.inventory = None;
    let mut engine = engine(checks());
    let connection = PostgresqlConnection {
        host: SERVER.directory.display().to_string(),
        port: 5432,
        database: source.clone(),
        user: "postgres".into(),
        password: None,
        tls: TlsMode::Disable,
        root_certificates: None,
    };
    let told = async |engine: &PostgresEngine| {
        let checks = verify(engine, &point, &copy).await.checks;
        let check = checks.into_iter().find(|check| check.name == "views");
        let check = check.unwrap();
        (check.outcome, format!("{:?}", check.findings))
    };
    let broken = "fails when it is used: relation \\\"public.rates\\\" does not exist";
    // Nobody knows whether it is the backup's fault.
    let (outcome, findings) = told(&engine).await;
    assert_eq!(outcome, Outcome::Pass, "{findings}");
    assert!(findings.contains(broken), "{findings}");
    assert!(findings.contains("could not be asked"), "{findings}");
    engine.workload.connection = Some(connection);
    let (outcome, findings) = told(&engine).await;
    assert_eq!(outcome, Outcome::Fail, "{findings}");
    assert!(findings.contains("view public.priced"), "{findings}");
    SERVER.psql(&source, "drop table rates");
    let (outcome, findings) = told(&engine).await;
    assert_eq!(outcome, Outcome::Pass, "{findings}");
    assert!(findings.contains("so it does at the source"), "{findings}");
}

/// The server takes the text of a bytea for immutable.
#[tokio::test]
async fn an_index_that_hangs_on_a_setting_of_its_database_is_no_fault() {
    let database = shop();
    SERVER.psql(
        &database,
        &format!("alter database {database} set bytea_output to escape"),
    );
    SERVER.psql(
        &database,
        "create table b (v bytea); insert into b values ('\\x00ff'); \
         create index on b ((v::text))",
    );
    let point = point(&database).await;
    let full = Checks {
        integrity: Integrity::Full,
        ..checks()
    };
    let verification = verify(&engine(full), &point, &database).await;
    assert_eq!(failed(&verification), [""; 0]);
}

#[tokio::test]
async fn planted_faults_are_found_one_by_one_and_nothing_else() {
    let database = shop();
    let mut point = point(&database).await;
    let (cx, _) = support::context();
    let options = fingerprint::Options {
        equality: Equality::Typed,
        locate: true,
        like: None,
        only: None,
        exclude: vec![CANARY.to_owned()],
        jobs: 2,
    };
    let source = fingerprint::take(&cx, &SERVER.endpoint(&database), None, &options).await;
    point.fingerprint = Some(source.unwrap());
    let before: Vec<String> = rows(&database);
    let engine = engine(Checks {
        fingerprints: Some(Equality::Typed),
        integrity: Integrity::Quick,
        row_counts: vec![count("orders", 2000, 2000)],
        exclude_tables: vec!["public.items".to_owned()],
        ..checks()
    });
    let clean = verify(&engine, &point, &database).await;
    assert_eq!(failed(&clean), [""; 0]);
    assert_eq!(clean.checks[0].outcome, Outcome::Pass);
    assert_eq!(
        clean.checks[0].summary,
        "1 tables, 2000 rows compared; excluded by the drill: public.items"
    );
    let faults = [Fault::RowByte, Fault::CanaryWrite, Fault::Index];
    let done = engine
        .spoil(&cx, &faults, &instance(&database))
        .await
        .unwrap();
    let key = done[0].strip_prefix("changed one byte of note in public.orders where id = ");
    let key: usize = key.unwrap_or_else(|| panic!("{done:?}")).parse().unwrap();
    assert_eq!(
        done[1],
        "dropped the canary write with sequence number 5 from public.canary"
    );
    let index = "index public.orders_note_idx";
    assert_eq!(
        done[2],
        format!("swapped two entries in the first leaf page of {index}")
    );
    let after = rows(&database);
    let changed: Vec<_> = (0..2000).filter(|i| before[*i] != after[*i]).collect();
    assert_eq!(changed, [key - 1]);
    assert_eq!(before[key - 1].len(), after[key - 1].len());

    let found = failed(&verify(&engine, &point, &database).await);
    let expected = [
        "fingerprints: public.orders ".to_owned(),
        "canary: canary write 5 of 9 ".to_owned(),
        format!("integrity: {index} "),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.contains(expected.as_str()), "{found}");
    }
}

fn rows(database: &str) -> Vec<String> {
    // Without the index, which is about to be damaged.
    let sql = "set enable_indexscan = off; select o::text from orders o order by id";
    SERVER
        .psql(database, sql)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn of_a_backup_that_was_found_all_is_looked_at_that_needs_no_source() {
    let database = shop();
    SERVER.psql(
        &database,
        "create function one() returns int language plpgsql as 'begin return two(); end'; \
         create view broken as select one(); select setval('orders_id_seq', 7)",
    );
    let found = RecoveryPoint {
        ownership: Ownership::Borrowed,
        inventory: None,
        canary: None,
        ..point(&database).await
    };
    let mut engine = engine(no_checks());
    engine.canary = None;
    let checks = verify(&engine, &found, &database).await.checks;
    let check = |name: &str| checks.iter().find(|check| check.name == name).unwrap();
    for name in ["fingerprints", "schema"] {
        let check = check(name);
        assert_eq!(check.outcome, Outcome::Untested);
        let why = "the recovery point was found, not made";
        assert!(check.summary.contains(why), "{check:?}");
    }
    for name in ["environment", "integrity"] {
        assert_eq!(check(name).summary, "switched off in the drill");
    }
    assert_eq!(check("sequences").outcome, Outcome::Fail);
    assert_eq!(check("views").findings[0].subject, "view public.broken");

    let made = RecoveryPoint {
        ownership: Ownership::Ours,
        ..found
    };
    let checks = verify(&engine, &made, &database).await.checks;
    for name in ["fingerprints", "schema"] {
        let check = checks.iter().find(|check| check.name == name).unwrap();
        assert_eq!(check.summary, "switched off in the drill");
    }
}

#[tokio::test]
async fn a_catalog_that_cannot_be_read_is_the_copys_fault_and_the_rest_is_checked() {
    let database = shop();
    SERVER.psql(&database, "create type mood as enum ('sad', 'happy')");
    let point = point(&database).await;
    let spoilt = "create table moods (m mood default 'sad'); \
                  delete from pg_enum where enumtypid = 'mood'::regtype and enumlabel = 'sad'";
    SERVER.psql(&database, spoilt);
    let verification = verify(&engine(checks()), &point, &database).await;
    let failed = failed(&verification);
    let unreadable = "schema: the copy read the schema: invalid internal value for enum";
    assert!(
        failed.iter().any(|line| line.starts_with(unreadable)),
        "{failed:?}"
    );
    let outcomes: BTreeMap<_, _> = outcomes(&verification.checks).into_iter().collect();
    assert_eq!(outcomes["environment"], Outcome::Untested);
    assert_eq!(outcomes["canary"], Outcome::Pass);
}
