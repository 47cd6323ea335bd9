//! Dumps of real servers, restored into fenced scratch clusters.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use lifeboat::{
    domain::{
        check::{Outcome, Severity},
        event::EventKind,
        failure::{Failure, FailureKind},
        record::SourceFacts,
        timeline::Milestone,
    },
    engine::{
        Context, Copy, Instance, Restored, Source, VerifyRequest,
        postgresql::{
            PostgresEngine,
            endpoint::ScratchCluster,
            fingerprint::{self, Equality, Options},
            session::Session,
        },
    },
    process::{Launcher, account, label},
    spec::drill::BackupPlace,
};

use crate::support::{self, Heard, engine::postgres, postgres::SERVER, room};

const SCHEMA: &str = "\
    create table orders (id bigint primary key, note text not null, twice bigint \
        generated always as (id * 2) stored); \
    insert into orders select i, 'it''s; \\ ' || i from generate_series(1, 5000) i; \
    create table lines (id bigint references orders, n int); \
    insert into lines select i, i from generate_series(1, 3000) i; \
    create index on lines (n); \
    create function one() returns int language sql begin atomic select 1; end";

/// A scratch place whose server is stopped in the end.
struct Place {
    engine: PostgresEngine,
    cx: Context,
    heard: Arc<Heard>,
    dir: tempfile::TempDir,
    dumps: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let (cx, heard) = support::context();
        let account = account::unprivileged(None).unwrap();
        let dir = tempfile::tempdir().unwrap();
        if let Some(account) = account {
            std::os::unix::fs::chown(dir.path(), Some(account.uid), Some(account.gid)).unwrap();
        }
        let dumps = tempfile::tempdir().unwrap();
        run(Command::new("chmod").arg("755").arg(dumps.path()));
        let launcher = Launcher {
            run: cx.run,
            helper: Some(PathBuf::from(env!("CARGO_BIN_EXE_lifeboat"))),
            account,
            allow_unfenced: false,
        };
        Self {
            engine: engine(launcher),
            cx,
            heard,
            dir,
            dumps,
        }
    }

    /// A dump of `database` in the given format of `pg_dump`.
    fn dump(&self, database: &str, format: &str) -> PathBuf {
        let path = self.dumps.path().join("dump");
        run(Command::new(SERVER.binaries.join("pg_dump"))
            .args(["-U", "postgres", "-h"])
            .arg(&SERVER.directory)
            .args(["-F", format, "-d", database, "-f"])
            .arg(&path));
        run(Command::new("chmod").args(["-R", "go-rwx"]).arg(&path));
        path
    }

    async fn start(&self, dump: &Path, source: Option<&SourceFacts>) -> Result<Instance, Failure> {
        let point = self.engine.identify(&self.cx, dump).await?;
        self.engine
            .start(&self.cx, &point, source, &room(self.dir.path()))
            .await
    }

    async fn restore(&self, dump: &Path, instance: &Instance) -> Result<Restored, Failure> {
        let point = self.engine.identify(&self.cx, dump).await?;
        self.engine.restore(&self.cx, &point, instance).await
    }

    async fn stop(&self) {
        label::end_all(self.cx.run, self.dir.path(), Duration::from_secs(5))
            .await
            .unwrap();
        assert!(label::find(self.cx.run, self.dir.path()).is_empty());
    }

    fn milestones(&self) -> Vec<Milestone> {
        let heard = self.heard.0.lock().unwrap();
        let reached = heard.iter().filter_map(|event| match event {
            EventKind::Reached { milestone } => Some(*milestone),
            _ => None,
        });
        reached.collect()
    }
}

fn engine(launcher: Launcher) -> PostgresEngine {
    let mut engine = postgres(launcher.run);
    engine.sandbox.allow_unfenced = launcher.allow_unfenced;
    engine.sandbox.settings = BTreeMap::from([
        ("work_mem".to_owned(), "6MB".to_owned()),
        ("archive_mode".to_owned(), "on".to_owned()),
    ]);
    engine.launcher = launcher;
    engine
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
}

fn source_database() -> String {
    let database = SERVER.database();
    SERVER.psql(&database, SCHEMA);
    database
}

async fn text(place: &Place, instance: &Instance, sql: &str) -> String {
    let cluster = ScratchCluster::of(instance).unwrap();
    let session = Session::open(&cluster.endpoint(), place.cx.run)
        .await
        .unwrap();
    session.row("test", sql, &[]).await.unwrap().get(0)
}

/// The rows of both tables, as one text.
const ROWS: &str = "select md5(string_agg(o::text, ',' order by id)) || \
    (select count(*) from public.lines) || public.one() from public.orders o";

async fn assert_same(place: &Place, instance: &Instance, database: &str) {
    assert_eq!(
        text(place, instance, ROWS).await,
        SERVER.psql(database, ROWS)
    );
}

#[tokio::test]
async fn a_directory_dump_is_restored_behind_the_fence_and_serves() {
    use Milestone::{Accepting, DataRestored, Reads, Serving, StorageBound};

    let (place, database) = (Place::new(), source_database());
    let dump = place.dump(&database, "d");
    let instance = place.start(&dump, None).await.unwrap();
    let restored = place.restore(&dump, &instance).await.unwrap();
    assert_eq!(
        restored.checks[0].outcome,
        Outcome::Pass,
        "{:?}",
        restored.checks
    );
    let facts = restored.facts;
    assert!(
        facts.fence.network && facts.fence.files,
        "{:?}",
        facts.fence
    );
    assert!(facts.engine_version.starts_with("15."));
    assert_eq!(facts.settings["work_mem"], "6MB");
    assert!(facts.size_bytes > 0);
    assert_same(&place, &instance, &database).await;
    for (name, value) in [("archive_mode", "off"), ("listen_addresses", "")] {
        let query = format!("select current_setting('{name}')");
        assert_eq!(text(&place, &instance, &query).await, value);
    }
    let analyzed = "select (count(*) > 0)::text from pg_catalog.pg_stats where tablename = 'lines'";
    assert_eq!(text(&place, &instance, analyzed).await, "true");
    place.engine.serve(&place.cx, &instance).await.unwrap();
    assert_eq!(
        place.milestones(),
        [StorageBound, Accepting, DataRestored, Reads, Serving]
    );
    place.stop().await;
}

#[tokio::test]
async fn both_steps_can_be_repeated() {
    let (place, database) = (Place::new(), source_database());
    let dump = place.dump(&database, "c");
    place.start(&dump, None).await.unwrap();
    let instance = place.start(&dump, None).await.unwrap();
    for _ in 0..2 {
        let restored = place.restore(&dump, &instance).await.unwrap();
        assert_eq!(restored.checks[0].findings, []);
    }
    assert_same(&place, &instance, &database).await;
    place.stop().await;
}

#[tokio::test]
async fn a_compressed_plain_dump_is_restored() {
    let (place, database) = (Place::new(), source_database());
    let dump = place.dump(&database, "p");
    run(Command::new("gzip").arg(&dump));
    let dump = dump.with_extension("gz");
    let instance = place.start(&dump, None).await.unwrap();
    let restored = place.restore(&dump, &instance).await.unwrap();
    assert_eq!(restored.checks[0].findings, []);
    assert_same(&place, &instance, &database).await;
    place.stop().await;
}

#[tokio::test]
async fn rows_after_a_copy_that_failed_are_not_run() {
    let (place, database) = (Place::new(), source_database());
    let dump = place.dump(&database, "p");
    let script = std::fs::read_to_string(&dump).unwrap();
    let spoilt = script.replace("COPY public.lines (", "COPY public.nothing (");
    std::fs::write(&dump, spoilt).unwrap();
    let instance = place.start(&dump, None).await.unwrap();
    let restored = place.restore(&dump, &instance).await.unwrap();
    let check = &restored.checks[0];
    assert_eq!((check.outcome, check.findings.len()), (Outcome::Fail, 1));
    assert!(check.findings[0].message.contains("public.nothing"));
    let count = "select count(*)::text from public.orders";
    assert_eq!(text(&place, &instance, count).await, "5000");
    let indexed = "select count(*)::text from pg_catalog.pg_indexes where tablename = 'lines'";
    assert_eq!(text(&place, &instance, indexed).await, "1");
    place.stop().await;
}

#[tokio::test]
async fn a_row_that_does_not_fit_is_told_without_its_data() {
    let (place, database) = (Place::new(), source_database());
    let dump = place.dump(&database, "p");
    let script = std::fs::read_to_string(&dump).unwrap();
    std::fs::write(&dump, script.replacen("\n2000\t2000\n", "\nsecret\t1\n", 1)).unwrap();
    let instance = place.start(&dump, None).await.unwrap();
    let restored = place.restore(&dump, &instance).await.unwrap();
    let check = &restored.checks[0];
    assert_eq!(check.findings.len(), 1, "{check:?}");
    assert!(check.findings[0].subject.contains("COPY public.lines"));
    assert!(!format!("{check:?}").contains("secret"));
    place.stop().await;
}

#[tokio::test]
async fn a_program_named_in_a_plain_dump_is_refused() {
    let (place, database) = (Place::new(), source_database());
    let dump = place.dump(&database, "p");
    let script = std::fs::read_to_string(&dump).unwrap();
    let instance = place.start(&dump, None).await.unwrap();
    for command in ["\\! touch evil\n", "SELECT 1 \\! touch evil\n"] {
        let evil = script.replacen("CREATE TABLE", &format!("{command}CREATE TABLE"), 1);
        std::fs::write(&dump, evil).unwrap();
        let failure = place.restore(&dump, &instance).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Invalid, "{failure}");
    }
    place.stop().await;
}

#[tokio::test]
async fn a_cut_off_archive_is_a_bad_backup() {
    let (place, database) = (Place::new(), source_database());
    let dump = place.dump(&database, "c");
    let length = std::fs::metadata(&dump).unwrap().len();
    let instance = place.start(&dump, None).await.unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&dump).unwrap();
    file.set_len(length - 2000).unwrap();
    let failure = place.restore(&dump, &instance).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadBackup, "{failure:?}");
    place.stop().await;
}

#[tokio::test]
async fn a_missing_role_is_named_and_a_tolerated_one_a_warning() {
    let (mut place, database) = (Place::new(), source_database());
    let role = format!("owner_{database}");
    SERVER.psql(
        &database,
        &format!("create role {role}; alter table lines owner to {role}"),
    );
    let dump = place.dump(&database, "d");
    let instance = place.start(&dump, None).await.unwrap();
    let check = place
        .restore(&dump, &instance)
        .await
        .unwrap()
        .checks
        .remove(0);
    assert_eq!(check.outcome, Outcome::Fail);
    let finding = &check.findings[0];
    assert!(finding.message.contains("missing role"), "{finding:?}");
    assert!(finding.message.contains(&role), "{finding:?}");
    assert!(finding.subject.contains("lines"), "{finding:?}");

    place.engine.checks.tolerate = vec![role.clone()];
    let check = place
        .restore(&dump, &instance)
        .await
        .unwrap()
        .checks
        .remove(0);
    assert_eq!(check.outcome, Outcome::Pass);
    assert_eq!(check.findings[0].severity, Severity::Warning);

    let globals = place.dumps.path().join("globals.sql");
    let secret = format!("CREATE ROLE {role};\nALTER ROLE {role} WITH LOGIN PASSWORD 'x';\n");
    std::fs::write(&globals, secret).unwrap();
    place.engine.checks.tolerate.clear();
    place.engine.existing = Some(BackupPlace::Path {
        path: dump.clone(),
        globals: Some(globals),
    });
    let check = place
        .restore(&dump, &instance)
        .await
        .unwrap()
        .checks
        .remove(0);
    assert_eq!(check.findings, []);
    let query = format!(
        "select (rolcanlogin and rolpassword is null)::text from pg_catalog.pg_authid \
         where rolname = '{role}'"
    );
    assert_eq!(text(&place, &instance, &query).await, "true");
    place.stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_start_shows_its_log() {
    let (mut place, database) = (Place::new(), source_database());
    let dump = place.dump(&database, "d");
    let bad = ("wal_level".to_owned(), "sideways".to_owned());
    place.engine.sandbox.settings.extend([bad]);
    let failure = place.start(&dump, None).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    let log = failure.diagnosis.join("\n");
    assert!(log.contains("wal_level"), "{log}");
    place.stop().await;
}

#[tokio::test]
async fn settings_of_the_source_are_taken_over_and_differences_told() {
    let (place, database) = (Place::new(), source_database());
    let dump = place.dump(&database, "d");
    let pairs = [("maintenance_work_mem", "80MB"), ("work_mem", "9MB")];
    let source = SourceFacts {
        location: String::new(),
        version: "15.1".to_owned(),
        size_bytes: 0,
        clock_skew_ms: 0,
        settings: pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
        details: BTreeMap::new(),
    };
    let instance = place.start(&dump, Some(&source)).await.unwrap();
    let facts = place.restore(&dump, &instance).await.unwrap().facts;
    assert_eq!(facts.settings["maintenance_work_mem"], "80MB");
    assert_eq!(facts.settings_changed, ["work_mem: 9MB -> 6MB"]);
    place.stop().await;
}

/// Two indexes whose functions lock each other's table: workers that build
/// them side by side lock each other out.
#[tokio::test]
async fn what_a_parallel_load_locks_out_is_loaded_one_by_one() {
    let place = Place::new();
    let database = SERVER.database();
    SERVER.psql(
        &database,
        "create table a (id int); create table b (id int); \
         create function hold(t regclass) returns void language plpgsql as \
             $$ begin end $$; \
         create function f(i int) returns int language plpgsql immutable as \
             $$ begin perform public.hold('public.b'); return i; end $$; \
         create function g(i int) returns int language plpgsql immutable as \
             $$ begin perform public.hold('public.a'); return i; end $$; \
         insert into a values (1); insert into b values (1); \
         create index on a (f(id)); create index on b (g(id)); \
         create or replace function hold(t regclass) returns void language plpgsql as $$ \
             declare others text[]; begin \
             if current_query() !~ 'CREATE INDEX' then return; end if; \
             for tries in 1 .. 200 loop \
                 perform pg_stat_clear_snapshot(); \
                 select array_agg(query) into others from pg_stat_activity \
                     where pid <> pg_backend_pid() and application_name = \
                     current_setting('application_name'); \
                 exit when tries > 60 and others is null or exists (select from unnest(others) q \
                     where q like '%CREATE INDEX%'); \
                 perform pg_sleep(0.05); \
             end loop; \
             execute format('lock table %s in access exclusive mode', t); end $$",
    );
    let dump = place.dump(&database, "c");
    let instance = place.start(&dump, None).await.unwrap();
    let restored = place.restore(&dump, &instance).await.unwrap();
    let said = format!("{:?}", place.heard.0.lock().unwrap());
    assert!(
        said.contains("met a deadlock of the parallel load"),
        "{said}"
    );
    assert_eq!(restored.checks[0].findings, []);
    let count = "select count(*)::text from pg_catalog.pg_index x \
                 join pg_catalog.pg_class c on c.oid = x.indrelid where c.relname in ('a', 'b')";
    assert_eq!(text(&place, &instance, count).await, "2");
    place.stop().await;
}

/// What the check of fingerprints finds in a copy that `sql` has changed. The
/// fingerprint is the source's, after `meanwhile`, which the dump has not.
async fn found(meanwhile: &str, sql: &str) -> BTreeMap<String, String> {
    let (mut place, database) = (Place::new(), source_database());
    place.engine.checks.fingerprints = Some(Equality::Typed);
    let dump = place.dump(&database, "d");
    SERVER.psql(&database, meanwhile);
    let options = Options {
        equality: Equality::Typed,
        exclude: Vec::new(),
        jobs: 2,
        locate: true,
        like: None,
        only: None,
    };
    let source = SERVER.endpoint(&database);
    let taken = fingerprint::take(&place.cx, &source, None, &options).await;
    let mut point = place.engine.identify(&place.cx, &dump).await.unwrap();
    point.fingerprint = Some(taken.unwrap());
    let instance = place.start(&dump, None).await.unwrap();
    place.restore(&dump, &instance).await.unwrap();
    let copy = ScratchCluster::of(&instance).unwrap().endpoint();
    let session = Session::open(&copy, place.cx.run).await.unwrap();
    session.batch("spoil", sql).await.unwrap();
    let request = VerifyRequest {
        point: &point,
        source: None,
        declared_at: "2026-03-01T12:00:00Z".parse().unwrap(),
    };
    let verified = place.engine.verify(&place.cx, request, &instance).await;
    place.stop().await;
    let checks = verified.unwrap().checks;
    let check = checks.into_iter().find(|c| c.name == "fingerprints");
    let findings = check.unwrap().findings.into_iter();
    findings.map(|f| (f.subject, f.message)).collect()
}

#[tokio::test]
async fn rows_that_differ_are_named_with_their_columns() {
    let found = found(
        "",
        "alter table public.lines drop constraint lines_id_fkey; \
         update public.orders set note = 'x' where id in (7, 700); \
         delete from public.orders where id between 4000 and 4006; \
         insert into public.orders values (9000, 'new'); \
         update public.lines set n = -n where n = 5; delete from public.lines where n = 6",
    )
    .await;
    assert_eq!(
        found["public.orders"],
        "has 4994 rows, had 5000: 2 rows are changed in note: id = 7, id = 700; 1 row is extra: \
         id = 9000; 7 rows are missing: id = 4000, id = 4001, id = 4002, id = 4003, id = 4004, …"
    );
    assert_eq!(
        found["public.lines"],
        "has 2999 rows, had 3000: 1 row is extra; 2 rows are missing"
    );
}

#[tokio::test]
async fn a_row_that_the_dump_has_wrong_is_named_too() {
    let found = found("update orders set note = 'x' where id = 77", "select 1").await;
    let message = &found["public.orders"];
    assert!(
        message.contains("the row that differs is id = 77; the recovery point holds the same rows"),
        "{message}"
    );
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn where_more_tables_differ_the_rest_is_located_by_its_sums() {
    let tables = "do $$ begin for n in 1 .. 7 loop execute format( \
                  'drop table if exists public.t%1$s; \
                   create table public.t%1$s (id int primary key, v text); \
                   insert into public.t%1$s select i, i from generate_series(1, 50) i', n); \
                  end loop; end $$";
    // The dump has none of them, and so is no help.
    let spoil = "do $$ begin for n in 1 .. 7 loop execute format( \
                 'update public.t%s set v = ''x'' where id = 3', n); end loop; end $$";
    let found = found(tables, &format!("{tables}; {spoil}")).await;
    assert_eq!(found.len(), 7, "{found:?}");
    for n in 1..=7 {
        let message = &found[&format!("public.t{n}")];
        assert!(
            message.contains("the row that differs is id = 3"),
            "{message}"
        );
        let unlooked = message.contains("not looked into: more than 5 tables differ");
        assert_eq!(unlooked, n > 5, "{message}");
    }
}

#[tokio::test]
async fn a_constraint_that_is_lost_makes_no_rows_differ() {
    let lost = "alter table public.orders alter note drop not null; \
                alter table public.lines drop constraint lines_id_fkey; \
                alter table public.orders drop constraint orders_pkey; \
                alter table public.orders alter id drop not null";
    assert_eq!(found("", lost).await, BTreeMap::new());
    let gone = "alter table public.orders drop column note";
    let found = found("", gone).await;
    assert_eq!(found.len(), 1, "{found:?}");
}
