//! The source side of the PostgreSQL engine, against real servers.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lifeboat::{
    domain::{
        check::{Finding, Severity},
        failure::{Failure, FailureKind},
        recovery_point::{CutBasis, RecoveryPoint},
    },
    engine::{
        Context, Source,
        postgresql::{
            PostgresEngine, endpoint::Endpoint, globals::Globals, session::Session, tools::Tools,
        },
    },
    process::Account,
    spec::drill::{Canary, Compression, FreshDump, PostgresqlConnection, SecretSource},
};

use crate::support::{
    self,
    disk::SmallDisk,
    engine::postgres,
    postgres::{BINARIES, SERVER, Server},
    room,
};

fn engine(cx: &Context, endpoint: &Endpoint) -> PostgresEngine {
    let mut engine = postgres(cx.run);
    engine.workload.connection = Some(PostgresqlConnection {
        host: endpoint.host.clone(),
        port: endpoint.port,
        database: endpoint.database.clone(),
        user: endpoint.user.clone(),
        password: None,
        tls: endpoint.tls,
        root_certificates: None,
    });
    engine.fresh = Some(FreshDump {
        jobs: 2,
        compression: Compression::Gzip(1),
        backup_interval: None,
        to: None,
    });
    engine
}

fn as_user(endpoint: &Endpoint, user: &str) -> Endpoint {
    Endpoint {
        user: user.to_owned(),
        ..endpoint.clone()
    }
}

fn canary(interval: u64) -> Canary {
    Canary {
        table: "lifeboat.canary".to_owned(),
        interval: Duration::from_millis(interval),
    }
}

/// Loads a dump into a new database of the server and gives its name.
fn restored(server: &Server, point: &RecoveryPoint) -> String {
    let database = server.database();
    let output = Command::new(server.binaries.join("pg_restore"))
        .args(["--exit-on-error", "-U", "postgres", "-h"])
        .arg(&server.directory)
        .args(["-d", &database])
        .arg(point.artifact.path().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    database
}

fn problems(findings: &[Finding]) -> Vec<String> {
    let bad = findings.iter().filter(|f| f.severity == Severity::Error);
    bad.map(|f| {
        format!(
            "{}: {} [{}]",
            f.subject,
            f.message,
            f.hint.as_deref().unwrap_or("")
        )
    })
    .collect()
}

fn shown(failure: &Failure) -> String {
    format!("{failure:?}")
}

/// Whether any process of the run is left, after a moment of grace.
async fn nothing_runs(cx: &Context) -> bool {
    for _ in 0..100 {
        if processes_with(&cx.run.to_string(), "environ").is_empty() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// The processes whose file in `/proc` holds the text, but for this one.
fn processes_with(text: &str, file: &str) -> Vec<u32> {
    let ids = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| *id != std::process::id())
        .filter(|id| {
            let content = std::fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&content).contains(text)
        })
        .collect()
}

/// Waits until `pg_dump` waits for the lock on a table.
async fn dump_waits(server: &Server, database: &str) {
    let sql = format!(
        "select count(*) from pg_stat_activity where datname = '{database}' \
         and wait_event_type = 'Lock' and query like 'LOCK TABLE%'"
    );
    for _ in 0..400 {
        if server.psql(database, &sql) != "0" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("pg_dump does not wait");
}

/// A table that is locked until the session is dropped.
async fn locked_table(server: &Server, database: &str, cx: &Context) -> Session {
    server.psql(database, "create table held (id int)");
    let session = Session::open(&server.endpoint(database), cx.run)
        .await
        .unwrap();
    session
        .batch(
            "lock",
            "begin; lock table public.held in access exclusive mode",
        )
        .await
        .unwrap();
    session
}

/// Every transaction writes one row into each of two tables.
fn busy(endpoint: Endpoint, cx: &Context, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<u64> {
    let run = cx.run;
    tokio::spawn(async move {
        let session = Session::open(&endpoint, run).await.unwrap();
        let mut written = 0;
        while !stop.load(Ordering::Relaxed) {
            let sql = "begin; insert into public.a default values; \
                       insert into public.b default values; commit";
            session.batch("write", sql).await.unwrap();
            written += 1;
        }
        written
    })
}

const TWO_TABLES: &str = "\
    create table a (id bigint generated always as identity primary key, t text default md5(random()::text)); \
    create table b (id bigserial primary key, t text default md5(random()::text)); \
    insert into a (t) select md5(n::text) from generate_series(1, 20000) n; \
    insert into b (t) select md5(n::text) from generate_series(1, 20000) n";

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_databases_dump_is_of_one_instant() {
    let (cx, _) = support::context();
    let database = SERVER.database();
    SERVER.psql(&database, TWO_TABLES);
    let endpoint = SERVER.endpoint(&database);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|_| busy(endpoint.clone(), &cx, stop.clone()))
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let into = tempfile::tempdir().unwrap();
    let mut engine = engine(&cx, &endpoint);
    engine.canary = Some(canary(5));
    let before = cx.clock.now();
    let point = engine.capture(&cx, &room(into.path())).await.unwrap();
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.unwrap() > 0);
    }
    let at = point.cut.at.unwrap();
    assert!(at >= before && at <= cx.clock.now(), "{at}");
    assert_eq!(point.cut.basis, CutBasis::Snapshot);
    assert!(point.cut.newest_commit.unwrap() <= at);
    assert!(point.cut.position.is_some());
    assert!(point.size_bytes > 100_000);
    assert!(
        point
            .producer
            .as_deref()
            .unwrap()
            .starts_with("pg_dump 15.")
    );

    let copy = restored(&SERVER, &point);
    let counts = SERVER.psql(
        &copy,
        "select (select count(*) from a) - (select count(*) from b)",
    );
    assert_eq!(counts, "0");
    // Every acknowledged write is there, and none that came after the cut.
    let log = point.canary.unwrap();
    assert_eq!(log.table, "lifeboat.canary");
    assert!(log.before_cut.len() >= 3 && log.after_cut > 0, "{log:?}");
    assert!(log.before_cut.iter().all(|write| write.at <= at));
    let wanted: Vec<String> = log
        .before_cut
        .iter()
        .map(|w| w.sequence.to_string())
        .collect();
    let sql = "select string_agg(sequence::text, ',' order by sequence) from lifeboat.canary";
    assert_eq!(SERVER.psql(&copy, sql), wanted.join(","));
    assert!(!into.path().join(".pgpass").exists());
    assert!(
        Globals::beside(point.artifact.path().unwrap())
            .unwrap()
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_captures_at_once_do_not_meet() {
    let database = SERVER.database();
    SERVER.psql(&database, TWO_TABLES);
    let endpoint = SERVER.endpoint(&database);
    let one = async {
        let (cx, _) = support::context();
        let into = tempfile::tempdir().unwrap();
        let mut engine = engine(&cx, &endpoint);
        engine.canary = Some(canary(1));
        let point = engine.capture(&cx, &room(into.path())).await.unwrap();
        let copy = restored(&SERVER, &point);
        for write in &point.canary.as_ref().unwrap().before_cut {
            let sql = format!(
                "select run from lifeboat.canary where sequence = {}",
                write.sequence
            );
            assert_eq!(SERVER.psql(&copy, &sql), cx.run.resource_name());
        }
    };
    let two = async {
        let (cx, _) = support::context();
        let into = tempfile::tempdir().unwrap();
        let mut engine = engine(&cx, &endpoint);
        engine.canary = Some(canary(1));
        engine.capture(&cx, &room(into.path())).await.unwrap();
    };
    tokio::join!(one, two);
}

/// Each documented grant, and what takes it back.
#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_documented_grants_are_enough() {
    let (cx, _) = support::context();
    let database = SERVER.database();
    let user = format!("boat_{database}");
    let psql = |sql: &str| SERVER.psql(&database, &sql.replace("USER", &user));
    psql(
        "create schema app; create table app.t (id serial primary key, v text); \
         insert into app.t (v) values ('x'); create table app.r (id int); \
         alter table app.r enable row level security; \
         select lo_from_bytea(4242, 'large'); \
         revoke all on schema public from public",
    );
    let grants = [
        (
            "schemas",
            "grant usage on schema app to USER",
            "revoke usage on schema app from USER",
        ),
        (
            "tables",
            "grant select on all tables in schema app to USER",
            "revoke select on app.t from USER",
        ),
        (
            "sequences",
            "grant select on all sequences in schema app to USER",
            "revoke select on all sequences in schema app from USER",
        ),
        (
            "large objects",
            "grant select on large object 4242 to USER",
            "revoke select on large object 4242 from USER",
        ),
        (
            "row-level security",
            "alter role USER bypassrls",
            "alter role USER nobypassrls",
        ),
        (
            "canary",
            "create schema lifeboat; grant usage, create on schema lifeboat to USER",
            "revoke create on schema lifeboat from USER",
        ),
    ];
    psql("create role USER login");
    for (_, grant, _) in grants {
        psql(grant);
    }
    let mut engine = engine(&cx, &as_user(&SERVER.endpoint(&database), &user));
    engine.canary = Some(canary(20));
    assert_eq!(
        problems(&engine.preflight(&cx, &std::env::temp_dir()).await),
        [""; 0]
    );
    for (subject, grant, revoke) in grants {
        psql(revoke);
        let found = engine.preflight(&cx, &std::env::temp_dir()).await;
        let found: Vec<_> = found
            .iter()
            .filter(|f| f.severity == Severity::Error)
            .collect();
        assert_eq!(found.len(), 1, "{revoke}: {found:?}");
        assert_eq!(found[0].subject, subject);
        assert!(found[0].hint.is_some());
        let again = if subject == "canary" {
            "grant create on schema lifeboat to USER"
        } else {
            grant
        };
        psql(again);
    }
    let into = tempfile::tempdir().unwrap();
    let point = engine.capture(&cx, &room(into.path())).await.unwrap();
    let copy = restored(&SERVER, &point);
    assert_eq!(SERVER.psql(&copy, "select count(*) from app.t"), "1");
    assert_eq!(
        SERVER.psql(&copy, "select convert_from(lo_get(4242), 'UTF8')"),
        "large"
    );

    // Once it is there, its own rights are looked at.
    psql(
        "alter table lifeboat.canary owner to postgres; grant select, insert on lifeboat.canary to USER",
    );
    let found = problems(&engine.preflight(&cx, &std::env::temp_dir()).await);
    assert!(
        found.len() == 1 && found[0].contains("no right to DELETE"),
        "{found:?}"
    );

    // pg_read_all_data stands for the first three, and is what is advised.
    psql("revoke usage on schema app from USER");
    psql("grant delete on lifeboat.canary to USER");
    let found = problems(&engine.preflight(&cx, &std::env::temp_dir()).await);
    assert!(found[0].contains("GRANT pg_read_all_data"), "{found:?}");
    psql(
        "revoke select on all tables in schema app from USER; revoke select on all sequences in schema app from USER; grant pg_read_all_data to USER",
    );
    assert_eq!(
        problems(&engine.preflight(&cx, &std::env::temp_dir()).await),
        [""; 0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named_by_the_capture_too() {
    let (cx, _) = support::context();
    let database = SERVER.database();
    let user = format!("boat_{database}");
    SERVER.psql(
        &database,
        &format!("create role {user} login; create table secret_t (id int)"),
    );
    let engine = engine(&cx, &as_user(&SERVER.endpoint(&database), &user));
    let into = tempfile::tempdir().unwrap();
    let failure = engine.capture(&cx, &room(into.path())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Denied, "{failure:?}");
    assert!(failure.message.contains("secret_t"), "{failure:?}");
    assert!(
        failure.hint.as_deref().unwrap().contains("GRANT SELECT"),
        "{failure:?}"
    );
    assert!(!failure.diagnosis.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_is_said() {
    let (cx, _) = support::context();
    let into = tempfile::tempdir().unwrap();
    let good = SERVER.endpoint("postgres");
    let nobody = Endpoint {
        host: "127.0.0.1".to_owned(),
        port: 1,
        ..good.clone()
    };
    let unknown = Endpoint {
        database: "no_such_db".to_owned(),
        ..good
    };
    for (endpoint, kind) in [
        (nobody, FailureKind::Unavailable),
        (unknown, FailureKind::NotFound),
    ] {
        let engine = engine(&cx, &endpoint);
        let failure = engine.capture(&cx, &room(into.path())).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert_eq!(engine.inspect(&cx).await.unwrap_err().kind, kind);
        let found = problems(&engine.preflight(&cx, &std::env::temp_dir()).await);
        assert!(
            found.len() == 1 && found[0].starts_with("source: "),
            "{found:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_works_and_shows_up_nowhere() {
    const PASSWORD: &str = "s3cr:et\\pa'ss";
    let (cx, heard) = support::context();
    let server = Server::with_password(&PASSWORD.replace('\'', "''"));
    let database = server.database();
    let files = tempfile::tempdir().unwrap();
    let (right, wrong) = (files.path().join("right"), files.path().join("wrong"));
    std::fs::write(&right, format!("{PASSWORD}\n")).unwrap();
    std::fs::write(&wrong, "not-the-s3cr:et").unwrap();
    let mut engine = engine(&cx, &as_user(&server.endpoint(&database), "boat"));
    let mut ask = |file: PathBuf| {
        let connection = engine.workload.connection.as_mut().unwrap();
        connection.password = Some(SecretSource::File(file));
        engine.clone()
    };

    let into = tempfile::tempdir().unwrap();
    let failure = ask(wrong)
        .capture(&cx, &room(into.path()))
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Denied);
    assert!(!shown(&failure).contains("s3cr"), "{failure:?}");

    let engine = ask(right);
    let lock = locked_table(&server, &database, &cx).await;
    let running = {
        let (engine, cx, into) = (engine.clone(), cx.clone(), into.path().to_owned());
        tokio::spawn(async move { engine.capture(&cx, &room(&into)).await })
    };
    dump_waits(&server, &database).await;
    assert!(!processes_with(&cx.run.to_string(), "environ").is_empty());
    for file in ["cmdline", "environ"] {
        assert_eq!(processes_with("s3cr:et", file), [0; 0], "{file}");
    }
    let mode = std::fs::metadata(into.path().join(".pgpass"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(lock);
    running.await.unwrap().unwrap();
    assert!(!into.path().join(".pgpass").exists());
    assert!(!format!("{:?}", heard.0.lock().unwrap()).contains("s3cr"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_in_the_middle_is_told() {
    let (cx, _) = support::context();
    let server = Server::start(Path::new(BINARIES), &[]);
    let database = server.database();
    let _lock = locked_table(&server, &database, &cx).await;
    let into = tempfile::tempdir().unwrap();
    let mut engine = engine(&cx, &server.endpoint(&database));
    engine.canary = Some(canary(10));
    let running = {
        let (engine, cx, into) = (engine.clone(), cx.clone(), into.path().to_owned());
        tokio::spawn(async move { engine.capture(&cx, &room(&into)).await })
    };
    dump_waits(&server, &database).await;
    server.stop();
    let failure = running.await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable, "{failure:?}");
    assert!(nothing_runs(&cx).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_the_snapshot_ends_the_dump() {
    let (cx, _) = support::context();
    let database = SERVER.database();
    let _lock = locked_table(&SERVER, &database, &support::context().0).await;
    let into = tempfile::tempdir().unwrap();
    let engine = engine(&cx, &SERVER.endpoint(&database));
    let running = {
        let (engine, cx, into) = (engine.clone(), cx.clone(), into.path().to_owned());
        tokio::spawn(async move { engine.capture(&cx, &room(&into)).await })
    };
    dump_waits(&SERVER, &database).await;
    let ended = SERVER.psql(
        "postgres",
        &format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity \
             where application_name = 'lifeboat {}' and query like '%pg_sequences%'",
            cx.run.resource_name()
        ),
    );
    assert_eq!(ended, "1");
    let failure = running.await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.message.contains("snapshot"), "{failure:?}");
    assert!(nothing_runs(&cx).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_capture_leaves_nothing_running() {
    let (cx, _) = support::context();
    let database = SERVER.database();
    let _lock = locked_table(&SERVER, &database, &support::context().0).await;
    let into = tempfile::tempdir().unwrap();
    let engine = engine(&cx, &SERVER.endpoint(&database));
    let running = {
        let (engine, cx, into) = (engine.clone(), cx.clone(), into.path().to_owned());
        tokio::spawn(async move { engine.capture(&cx, &room(&into)).await })
    };
    dump_waits(&SERVER, &database).await;
    cx.cancel.cancel();
    let failure = running.await.unwrap().unwrap_err();
    assert_eq!(failure.kind, FailureKind::Cancelled);
    assert!(nothing_runs(&cx).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dump_belongs_to_the_account_that_makes_it() {
    let (cx, _) = support::context();
    let database = SERVER.database();
    SERVER.psql(&database, "create table t as select 1 as id");
    let into = tempfile::tempdir().unwrap();
    let account = Account {
        uid: 65_534,
        gid: 65_534,
    };
    std::os::unix::fs::chown(into.path(), Some(account.uid), Some(account.gid)).unwrap();
    let mut engine = engine(&cx, &SERVER.endpoint(&database));
    engine.launcher.account = Some(account);
    let password = into.path().join("secret");
    std::fs::write(&password, "unused").unwrap();
    let connection = engine.workload.connection.as_mut().unwrap();
    connection.password = Some(SecretSource::File(password));
    let point = engine.capture(&cx, &room(into.path())).await.unwrap();
    let made = std::fs::metadata(point.artifact.path().unwrap()).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), account.uid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named() {
    let (cx, _) = support::context();
    let database = SERVER.database();
    SERVER.psql(
        &database,
        "create table big as select md5(random()::text) || md5(random()::text) v \
         from generate_series(1, 120000)",
    );
    let place = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(place.path(), 3 << 10) else {
        return;
    };
    let mut engine = engine(&cx, &SERVER.endpoint(&database));
    engine.fresh.as_mut().unwrap().compression = Compression::None;
    let failure = engine.capture(&cx, &room(place.path())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Exhausted, "{failure:?}");
    let path = place.path().display().to_string();
    assert!(
        failure.hint.as_deref().unwrap().contains(&path),
        "{failure:?}"
    );
    assert!(
        failure.diagnosis.last().unwrap().contains("bytes free"),
        "{failure:?}"
    );
    assert!(nothing_runs(&cx).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_a_source_without_a_canary() {
    let (cx, _) = support::context();
    let primary = Server::start(Path::new(BINARIES), &[]);
    let database = primary.database();
    primary.psql(
        &database,
        "create table t as select 1 as id; create unlogged table u (id int)",
    );
    let standby = primary.standby();
    let into = tempfile::tempdir().unwrap();
    let mut engine = engine(&cx, &standby.endpoint(&database));
    let facts = engine.inspect(&cx).await.unwrap().unwrap();
    assert_eq!(facts.details["in_recovery"], "true");
    let found = engine.preflight(&cx, &std::env::temp_dir()).await;
    assert_eq!(problems(&found), [""; 0]);
    assert!(found.iter().any(|f| f.subject == "unlogged tables"));
    assert!(found.iter().any(|f| {
        f.hint
            .as_deref()
            .is_some_and(|h| h.contains("hot_standby_feedback"))
    }));
    let point = engine.capture(&cx, &room(into.path())).await.unwrap();
    assert_eq!(point.details["in_recovery"], "true");
    assert!(point.cut.position.is_some());
    let copy = restored(&primary, &point);
    assert_eq!(primary.psql(&copy, "select count(*) from t"), "1");

    engine.canary = Some(canary(10));
    let into = tempfile::tempdir().unwrap();
    let failure = engine.capture(&cx, &room(into.path())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(
        problems(&engine.preflight(&cx, &std::env::temp_dir()).await)[0].starts_with("canary: ")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compression_that_the_tools_do_not_know_is_refused() {
    let (cx, _) = support::context();
    let database = SERVER.database();
    let mut engine = engine(&cx, &SERVER.endpoint(&database));
    engine.fresh.as_mut().unwrap().compression = Compression::Zstd(3);
    let found = problems(&engine.preflight(&cx, &std::env::temp_dir()).await);
    assert!(
        found.len() == 1 && found[0].starts_with("pg_dump: "),
        "{found:?}"
    );
    let into = tempfile::tempdir().unwrap();
    let failure = engine.capture(&cx, &room(into.path())).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
}

#[tokio::test]
async fn tools_are_found_by_what_they_say_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("bin/pg_dump");
    std::fs::create_dir(directory.path().join("bin")).unwrap();
    std::fs::write(&script, "#!/bin/sh\necho 'pg_dump (PostgreSQL) 14.9'\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let tools = Tools::find(&[directory.path().to_owned()]).await;
    assert_eq!(tools.all()[0].version, "14.9");
    assert_eq!(tools.dump_for(150_001).unwrap().major, 15);
    assert_eq!(
        tools.dump_for(140_001).unwrap().bin_directory,
        directory.path().join("bin")
    );
    assert_eq!(
        tools.server(15).unwrap().program("initdb"),
        Path::new(BINARIES).join("initdb")
    );
    assert!(tools.server(14).is_err());
    let failure = tools.dump_for(990_000).unwrap_err();
    assert!(failure.message.contains("14.9") && failure.message.contains("99.0"));
}

#[tokio::test]
async fn the_source_is_described() {
    let (cx, _) = support::context();
    let database = SERVER.database();
    SERVER.psql(
        &database,
        "create table t as select generate_series(1, 10000) n; analyze t",
    );
    let engine = engine(&cx, &SERVER.endpoint(&database));
    let facts = engine.inspect(&cx).await.unwrap().unwrap();
    assert!(facts.version.starts_with("15."));
    assert!(facts.size_bytes > 1_000_000);
    assert!(facts.clock_skew_ms.abs() < 1000, "{}", facts.clock_skew_ms);
    assert_eq!(facts.settings["fsync"], "off");
    assert_eq!(facts.settings["track_commit_timestamp"], "on");
    assert_eq!(facts.settings["lc_monetary"], "C.UTF-8");
    assert_eq!(facts.settings["shared_buffers"], "128MB");
    assert_eq!(facts.details["encoding"], "UTF8");
    assert_eq!(facts.details["locale_provider"], "libc");
    assert_eq!(facts.details["tables"], "1");
    assert_eq!(facts.details["largest_table"], "public.t");
    assert!(facts.details["version_num"].starts_with("15"));
}

#[tokio::test]
async fn without_a_live_source_the_rest_is_looked_at() {
    let (cx, _) = support::context();
    let mut engine = engine(&cx, &SERVER.endpoint("postgres"));
    engine.workload.connection = None;
    engine.fresh = None;
    assert_eq!(
        problems(&engine.preflight(&cx, &std::env::temp_dir()).await),
        [""; 0]
    );
    assert!(engine.inspect(&cx).await.unwrap().is_none());
    engine.sandbox.version = Some(99);
    assert!(
        problems(&engine.preflight(&cx, &std::env::temp_dir()).await)[0].contains("postgresql-99")
    );
}

#[tokio::test]
async fn globals_make_the_same_globals_elsewhere() {
    let (cx, _) = support::context();
    let (from, to) = (
        Server::start(Path::new(BINARIES), &[]),
        Server::start(Path::new(BINARIES), &[]),
    );
    for server in [&from, &to] {
        server.psql("postgres", "create database shop");
    }
    from.psql(
        "shop",
        r#"create role "we""ird 'role" login createdb connection limit 3 valid until '2031-01-02 03:04:05+00';
           comment on role "we""ird 'role" is 'it''s \ odd';
           create role staff noinherit bypassrls replication; grant staff to "we""ird 'role" with admin option;
           grant pg_read_all_data to staff;
           alter role staff set search_path to "$user", 'Odd, "Schema', public;
           alter role staff set work_mem = '7MB';
           alter role all set lock_timeout = '9s';
           alter role staff in database shop set app.name = 'a=b''c\d';
           alter database shop set timezone = 'Europe/Vienna';
           alter database postgres set work_mem = '3MB';
           alter database shop owner to staff"#,
    );
    let open = |server: &Server| {
        let endpoint = server.endpoint("shop");
        async move { Session::open(&endpoint, cx.run).await.unwrap() }
    };
    let source = Globals::collect(&open(&from).await).await.unwrap();
    assert_eq!(source.roles.len(), 3);
    assert_eq!(source.settings.len(), 5);
    let target = open(&to).await;
    let all = source
        .statements()
        .into_iter()
        .chain(source.database_statements("shop"));
    for sql in all.filter(|sql| sql != "CREATE ROLE \"postgres\"") {
        target.batch(&sql, &sql).await.unwrap();
    }
    let copy = Globals::collect(&open(&to).await).await.unwrap();
    assert_eq!(source, copy);

    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        Globals::beside(&directory.path().join("dump")).unwrap(),
        None
    );
    source.write(directory.path()).unwrap();
    assert_eq!(
        Globals::beside(&directory.path().join("dump")).unwrap(),
        Some(source)
    );
}
