//! Whole passes of the SQLite engine on real files.

#![expect(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lifeboat::{
    domain::{
        check::{CheckResult, Outcome, Severity},
        failure::FailureKind,
        record::Profile,
        recovery_point::RecoveryPoint,
    },
    engine::{
        Context, Copy, Fault, Instance, Source, Verification, VerifyRequest, sqlite::SqliteEngine,
    },
    spec::drill::{Canary, Checks, Equality, Integrity, SqliteWorkload},
};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::{self, room};

pub struct Place {
    pub dir: TempDir,
    pub engine: SqliteEngine,
    pub cx: Context,
}

impl Place {
    pub fn new(sql: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("source.db");
        Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        let engine = SqliteEngine {
            workload: SqliteWorkload { file: Some(file) },
            existing: None,
            canary: None,
            checks: Checks {
                fingerprints: Some(Equality::Typed),
                schema: true,
                integrity: Integrity::Full,
                environment: true,
                row_counts: Vec::new(),
                queries: Vec::new(),
                newest_write: None,
                exclude_tables: Vec::new(),
                tolerate: Vec::new(),
            },
            profile: Profile::Production,
            verify_jobs: 2,
        };
        let (cx, _) = support::context();
        Self { dir, engine, cx }
    }

    fn with_canary(mut self) -> Self {
        let table = "lifeboat_canary".to_owned();
        self.engine.canary = Some(Canary {
            table,
            interval: Duration::from_millis(1),
        });
        self
    }

    pub fn source(&self) -> PathBuf {
        self.dir.path().join("source.db")
    }

    fn folder(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub async fn capture(&self) -> RecoveryPoint {
        self.engine
            .capture(&self.cx, &room(&self.folder("point")))
            .await
            .unwrap()
    }

    pub async fn restore(&self, point: &RecoveryPoint) -> Instance {
        let dir = self.folder("sandbox");
        let instance = self
            .engine
            .start(&self.cx, point, None, &room(&dir))
            .await
            .unwrap();
        self.engine
            .restore(&self.cx, point, &instance)
            .await
            .unwrap();
        self.engine.serve(&self.cx, &instance).await.unwrap();
        instance
    }

    pub async fn verify(&self, point: &RecoveryPoint, instance: &Instance) -> Verification {
        let declared_at = self.cx.clock.now();
        let request = VerifyRequest {
            point,
            source: None,
            declared_at,
        };
        self.engine
            .verify(&self.cx, request, instance)
            .await
            .unwrap()
    }
}

pub fn copy_of(instance: &Instance) -> Connection {
    Connection::open(instance.endpoint["file"].as_str().unwrap()).unwrap()
}

fn errors(checks: &[CheckResult]) -> Vec<String> {
    let findings = checks.iter().flat_map(|check| &check.findings);
    findings
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("{}: {}", finding.subject, finding.message))
        .collect()
}

fn all_passed(verification: &Verification) -> bool {
    verification
        .checks
        .iter()
        .all(|check| check.outcome == Outcome::Pass)
}

const SHOP: &str = "pragma journal_mode = wal;
    create table customer (id integer primary key autoincrement, name text not null);
    create table \"odd \"\"name\" (rowid text, v blob, w real, x);
    create table stock (sku text, place text, n integer, primary key (place, sku)) without rowid;
    create table item (id integer primary key, customer integer references customer,
        note text, total real generated always as (id * 2.5) stored);
    create virtual table doc using fts5 (body);
    insert into doc values ('a lifeboat'), ('a line');
    create index item_customer on item (customer);
    create view names as select name from customer;
    create trigger t after delete on item begin delete from stock where n < 0; end;
    insert into customer (name) values ('ann'), ('bob');
    insert into \"odd \"\"name\" values ('a', x'00ff', 9e999, 9223372036854775807), (null, null, -0.0, '');
    insert into stock values ('s1', 'p', 4), ('s2', 'p', 5);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 500)
        insert into item (id, customer, note) select i, 1 + i % 2, 'note ' || i from n;";

#[tokio::test]
async fn a_clean_copy_passes_every_check_and_the_source_stays_as_it_was() {
    let place = Place::new(SHOP);
    let before = std::fs::read(place.source()).unwrap();
    let modified = std::fs::metadata(place.source())
        .unwrap()
        .modified()
        .unwrap();
    let facts = place.engine.inspect(&place.cx).await.unwrap().unwrap();
    assert_eq!(facts.settings["journal_mode"], "wal");
    let point = place.capture().await;
    let instance = place.restore(&point).await;
    let verification = place.verify(&point, &instance).await;
    assert!(all_passed(&verification), "{:#?}", verification.checks);
    assert_eq!(std::fs::read(place.source()).unwrap(), before);
    let after = std::fs::metadata(place.source())
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(after, modified);
}

#[tokio::test]
async fn planted_faults_are_each_found_and_named() {
    let planted = [
        ("delete from item where id = 77", "row 77 is missing"),
        (
            "update customer set name = 'bOb' where id = 2",
            "row 2 is changed",
        ),
        (
            "insert into stock values ('s3', 'p', 1)",
            "row p, s3 is extra",
        ),
        (
            "drop index item_customer",
            "index \"item_customer\": is missing",
        ),
        ("drop trigger t", "trigger \"t\": is missing"),
        ("drop view names", "view \"names\": is missing"),
        (
            "update sqlite_sequence set seq = 1",
            "stands at 1 instead of 2",
        ),
        ("delete from sqlite_sequence", "is missing"),
        (
            "pragma user_version = 9",
            "its user_version is not the same",
        ),
        (
            "delete from customer where id = 1",
            "refer to rows of customer",
        ),
    ];
    let place = Place::new(SHOP);
    let point = place.capture().await;
    for (sql, expected) in planted {
        let instance = place.restore(&point).await;
        let copy = copy_of(&instance);
        copy.execute_batch(&format!("pragma foreign_keys = off; {sql}"))
            .unwrap();
        drop(copy);
        let found = errors(&place.verify(&point, &instance).await.checks);
        assert!(
            found.iter().any(|line| line.contains(expected)),
            "{sql}: {found:?}"
        );
    }
}

#[tokio::test]
async fn the_negative_control_finds_exactly_the_three_faults() {
    for depth in [Integrity::Quick, Integrity::Full] {
        let mut place = Place::new(SHOP).with_canary();
        place.engine.checks.integrity = depth;
        let point = place.capture().await;
        let instance = place.restore(&point).await;
        let faults = [Fault::Index, Fault::RowByte, Fault::CanaryWrite];
        let told = place
            .engine
            .spoil(&place.cx, &faults, &instance)
            .await
            .unwrap();
        assert_eq!(told.len(), 3);
        let verification = place.verify(&point, &instance).await;
        let found = errors(&verification.checks);
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(verification.canary.unwrap().lost.len(), 1);
    }
}

#[tokio::test]
async fn the_fingerprint_is_of_the_very_state_that_was_backed_up() {
    for mode in ["wal", "delete"] {
        let place = Place::new(&SHOP.replace("= wal", &format!("= {mode}"))).with_canary();
        let stop = Arc::new(AtomicBool::new(false));
        let writer = {
            let (stop, path) = (stop.clone(), place.source());
            std::thread::spawn(move || {
                let source = Connection::open(path).unwrap();
                source.busy_timeout(Duration::from_secs(10)).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    source
                        .execute("insert into item (note) values (randomblob(40))", [])
                        .unwrap();
                    source
                        .execute("update item set note = 'x' where id % 7 = 0", [])
                        .unwrap();
                    // Without a pause SQLite's busy handler starves others.
                    std::thread::sleep(Duration::from_millis(3));
                }
            })
        };
        for _ in 0..30 {
            let point = place
                .engine
                .capture(&place.cx, &room(&place.folder("point")))
                .await
                .unwrap();
            let instance = place.restore(&point).await;
            let verification = place.verify(&point, &instance).await;
            assert!(all_passed(&verification), "{:#?}", verification.checks);
            std::fs::remove_dir_all(place.dir.path().join("point")).unwrap();
            std::fs::remove_dir_all(place.dir.path().join("sandbox")).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    }
}

/// Copies the main file and `companions` of the source while it is open.
fn backup(from: &Path, to: &Path, companions: &[&str]) {
    for suffix in [&[""], companions].concat() {
        let name = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(name(from), name(to)).unwrap();
    }
}

#[tokio::test]
async fn frames_that_are_only_in_the_log_are_restored_and_a_missing_log_is_told() {
    let place = Place::new(SHOP);
    let source = Connection::open(place.source()).unwrap();
    source
        .execute_batch("pragma wal_autocheckpoint = 0; delete from item")
        .unwrap();
    let file = place.dir.path().join("existing.db");
    backup(&place.source(), &file, &["-wal"]);
    let point = place.engine.identify(&place.cx, &file).await.unwrap();
    let rows = |instance: &Instance| -> i64 {
        copy_of(instance)
            .query_row("select count(*) from item", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(rows(&place.restore(&point).await), 0);
    std::fs::remove_dir_all(place.dir.path().join("sandbox")).unwrap();

    std::fs::remove_file(place.dir.path().join("existing.db-wal")).unwrap();
    let point = place.engine.identify(&place.cx, &file).await.unwrap();
    let instance = place
        .engine
        .start(&place.cx, &point, None, &room(&place.folder("sandbox")))
        .await
        .unwrap();
    let restored = place
        .engine
        .restore(&place.cx, &point, &instance)
        .await
        .unwrap();
    assert!(restored.checks[0].findings[0].message.contains("no -wal"));
}

#[tokio::test]
async fn a_hot_journal_is_rolled_back_in_the_copy() {
    let place = Place::new(&SHOP.replace("= wal", "= delete"));
    let source = Connection::open(place.source()).unwrap();
    source
        .execute_batch(
            "pragma cache_size = 1; pragma cache_spill = 1; begin; \
        update item set note = note || hex(randomblob(500))",
        )
        .unwrap();
    let file = place.dir.path().join("existing.db");
    backup(&place.source(), &file, &["-journal"]);
    let point = place.engine.identify(&place.cx, &file).await.unwrap();
    let copy = copy_of(&place.restore(&point).await);
    let longest: i64 = copy
        .query_row("select max(length(note)) from item", [], |row| row.get(0))
        .unwrap();
    assert_eq!(longest, 8);
}

#[tokio::test]
async fn a_locked_source_is_told_with_what_to_do() {
    let place = Place::new(&SHOP.replace("= wal", "= delete"));
    let holder = Connection::open(place.source()).unwrap();
    holder.execute_batch("begin exclusive").unwrap();
    let findings = place.engine.preflight(&place.cx, place.dir.path()).await;
    assert_eq!(findings[0].severity, Severity::Error);
    assert!(findings[0].message.contains("locked"), "{findings:?}");
    assert!(findings[0].hint.as_ref().unwrap().contains("lock"));
}

#[tokio::test]
async fn damaged_files_are_bad_backups() {
    let place = Place::new(&SHOP.replace("= wal", "= delete"));
    let good = std::fs::read(place.source()).unwrap();
    let file = place.dir.path().join("bad.db");
    for bytes in [
        &good[..good.len() - 4096],
        &good[..good.len() - 7],
        &good[..0],
        &[7; 4096],
    ] {
        std::fs::write(&file, bytes).unwrap();
        let failure = place.engine.identify(&place.cx, &file).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::BadBackup, "{failure:?}");
    }
    let mut torn = good.clone();
    let last = torn.len() - 4096;
    torn[last..].fill(0x5a);
    std::fs::write(&file, &torn).unwrap();
    let point = place.engine.identify(&place.cx, &file).await.unwrap();
    let instance = place.restore(&point).await;
    let checks = place.verify(&point, &instance).await.checks;
    let integrity = checks
        .iter()
        .find(|check| check.name == "integrity")
        .unwrap();
    assert_eq!(integrity.outcome, Outcome::Fail);
}

#[tokio::test]
async fn a_read_only_backup_is_restored_writable_and_left_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new(&SHOP.replace("= wal", "= delete"));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let before = std::fs::read(place.source()).unwrap();
    std::fs::set_permissions(place.source(), std::fs::Permissions::from_mode(0o440)).unwrap();
    let point = place
        .engine
        .identify(&place.cx, &place.source())
        .await
        .unwrap();
    let instance = place.restore(&point).await;
    assert_eq!(
        mode(Path::new(instance.endpoint["file"].as_str().unwrap())),
        0o600
    );
    assert_eq!(mode(&place.source()), 0o440);
    assert_eq!(std::fs::read(place.source()).unwrap(), before);
}

#[tokio::test]
async fn a_cancelled_capture_gives_no_recovery_point() {
    let place = Place::new(SHOP);
    place.cx.cancel.cancel();
    let failure = place
        .engine
        .capture(&place.cx, &room(&place.folder("point")))
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Cancelled);
}

#[tokio::test]
async fn a_collation_of_the_application_makes_no_false_alarm() {
    let place = Place::new(
        "create table t (a text collate nocase); create index i on t (a);
        insert into t values ('x'), ('Y'); pragma writable_schema = on;
        update sqlite_schema set sql = replace(sql, 'nocase', 'of_the_app');",
    );
    let point = place.capture().await;
    let instance = place.restore(&point).await;
    let checks = place.verify(&point, &instance).await.checks;
    assert_eq!(errors(&checks), Vec::<String>::new(), "{checks:#?}");
    let outcome = |name| {
        checks
            .iter()
            .find(|check| check.name == name)
            .unwrap()
            .outcome
    };
    assert_eq!(outcome("fingerprints"), Outcome::Pass);
    assert_eq!(outcome("integrity"), Outcome::Untested);
}

#[tokio::test]
async fn queries_bounds_and_newest_write_are_held_against_the_copy() {
    use Outcome::{Fail, Pass};
    use lifeboat::spec::drill::{Comparison, Expectation, QueryCheck, RowCountCheck};
    let mut place = Place::new(SHOP);
    let operand = "500".to_owned();
    let expect = Expectation::Value {
        operator: Comparison::Equal,
        operand,
    };
    let query = |name: &str, sql: &str| QueryCheck {
        name: name.to_owned(),
        sql: sql.to_owned(),
        expect: expect.clone(),
    };
    place.engine.checks.queries = vec![
        query("good", "select count(*) from item"),
        query("wrong", "select 1"),
        query("writes", "delete from item returning 500"),
        query("two", "select 500; select 500"),
        query(
            "endless",
            "with recursive n(i) as (select 1 union all select 1 from n) select i from n",
        ),
    ];
    let bounds = |min| RowCountCheck {
        table: "item".to_owned(),
        min: Some(min),
        max: None,
    };
    place.engine.checks.row_counts = vec![bounds(500), bounds(501)];
    place.engine.checks.newest_write = Some("select '2026-01-02 03:04:05'".to_owned());
    let point = place.capture().await;
    let instance = place.restore(&point).await;
    let verification = place.verify(&point, &instance).await;
    let outcomes: Vec<_> = verification.checks[4..]
        .iter()
        .map(|check| check.outcome)
        .collect();
    assert_eq!(
        outcomes,
        [Pass, Fail, Pass, Fail, Fail, Fail, Fail],
        "{:#?}",
        verification.checks
    );
    assert_eq!(
        verification.newest_writes[0].at,
        "2026-01-02T03:04:05Z".parse().unwrap()
    );
}

#[tokio::test]
async fn a_large_copy_is_fingerprinted_in_parallel_with_the_same_result() {
    let place = Place::new(&format!(
        "{SHOP}
        create table large (b); with recursive n(i) as (select 1 union all select i + 1 from n
        where i < 20) insert into large select randomblob(1000000) from n"
    ));
    let point = place.capture().await;
    let instance = place.restore(&point).await;
    let verification = place.verify(&point, &instance).await;
    assert!(all_passed(&verification), "{:#?}", verification.checks);
    let copy = copy_of(&instance);
    copy.execute("update large set b = zeroblob(1) where rowid = 7", [])
        .unwrap();
    drop(copy);
    let found = errors(&place.verify(&point, &instance).await.checks);
    assert!(
        found.len() == 1 && found[0].contains("row 7 is changed"),
        "{found:?}"
    );
}

#[tokio::test]
async fn checks_tell_truly_why_they_are_not_made_and_what_they_leave_out() {
    let mut place = Place::new(SHOP);
    place.engine.checks.exclude_tables = vec!["item".to_owned()];
    let point = place.capture().await;
    let instance = place.restore(&point).await;
    let summary = |checks: &[CheckResult], name: &str| {
        let check = checks.iter().find(|check| check.name == name);
        check.unwrap().summary.clone()
    };
    let checks = place.verify(&point, &instance).await.checks;
    let told = summary(&checks, "fingerprints");
    assert!(told.ends_with("; excluded by the drill: item"), "{told}");

    (place.engine.checks.fingerprints, place.engine.checks.schema) = (None, false);
    let checks = place.verify(&point, &instance).await.checks;
    for name in ["fingerprints", "schema"] {
        assert_eq!(summary(&checks, name), "switched off");
    }
    let backup = point.artifact.path().unwrap();
    let found = place.engine.identify(&place.cx, backup).await.unwrap();
    let checks = place.verify(&found, &instance).await.checks;
    for name in ["fingerprints", "schema"] {
        let told = summary(&checks, name);
        assert!(told.starts_with("the backup was found: "), "{told}");
    }
}
