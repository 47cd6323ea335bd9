//! Every store keeps the same promises.

use std::{
    collections::BTreeSet,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use lifeboat::{
    domain::{
        budget::{Demand, Limits},
        ids::RunId,
        journal::Entry,
        record::RunRecord,
        resource::Resource,
        step::{Acquired, Step},
        verdict::Verdict,
    },
    history::{
        Filter, Queries, contract, memory::MemoryHistory, replicas::Replicas, sql::SqlHistory,
    },
    runner::store::{Gone, Owner, RunStore, StoreError, Write},
};

use crate::support::{
    certificate::certificate,
    postgres::{SERVER, Server},
};

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract::suite(&MemoryHistory::default()).await.unwrap();
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let history = SqlHistory::in_file(&dir.path().join("h.db")).await.unwrap();
    contract::suite(&history).await.unwrap();
}

#[tokio::test]
async fn postgresql_keeps_the_contract() {
    let url = SERVER.url(&SERVER.database());
    let history = SqlHistory::at(&url).await.unwrap();
    contract::suite(&history).await.unwrap();
}

/// Only whoever can show the certificate that is trusted is given the history.
#[tokio::test]
async fn a_shared_history_is_reached_by_tls() {
    let folder = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let (own, key) = certificate(folder.path(), "own");
    let (other, _) = certificate(folder.path(), "other");
    let server = Server::with_tls((&own, &key));
    let database = server.database();
    let url = |mode: &str| format!("postgresql://postgres@127.0.0.77/{database}?sslmode={mode}");
    let trusting = |root: &Path| url(&format!("verify-full&sslrootcert={}", root.display()));

    let history = SqlHistory::at(&trusting(&own)).await.unwrap();
    contract::suite(&history).await.unwrap();
    let ciphers = "select count(*) > 0 from pg_stat_ssl join pg_stat_activity using (pid) \
                   where ssl and client_addr is not null";
    assert_eq!(server.psql("postgres", ciphers), "t");
    let refused = SqlHistory::at(&trusting(&other)).await.unwrap_err();
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert!(why.contains("certificate"), "{refused}: {why}");
    assert!(SqlHistory::at(&url("disable")).await.is_err());
}

/// A new history in a file: its directory, where it is, and a way in beside it.
async fn embedded() -> (tempfile::TempDir, PathBuf, rusqlite::Connection) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    SqlHistory::in_file(&path).await.unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    (dir, path, file)
}

/// Tables with their columns, and indexes with theirs.
fn shape(lines: Vec<String>) -> BTreeSet<String> {
    let lines = lines.into_iter().map(|line| line.to_lowercase());
    lines.filter(|line| !line.starts_with('_')).collect()
}

#[tokio::test]
async fn both_databases_have_the_same_schema() {
    let (_dir, _, file) = embedded().await;
    let read = |sql: &str| -> Vec<String> {
        let mut asked = file.prepare(sql).unwrap();
        let rows = asked.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let embedded = shape(
        [
            read(
                "select t.name || '.' || c.name || ' ' || replace(replace(c.type, 'INTEGER', \
                 'bigint'), 'BLOB', 'bytea') || iif(c.\"notnull\", ' not null', '') \
                 from pragma_table_list t join pragma_table_info(t.name) c \
                 where t.schema = 'main' and t.name not like 'sqlite%'",
            ),
            read(
                "select i.name || ' on ' || l.name || iif(i.\"unique\", ' unique', '') || \
                 iif(i.partial, ' partial', '') || ': ' || (select group_concat(x.name || \
                 iif(x.\"desc\", ' desc', ''), ',') from pragma_index_xinfo(i.name) x \
                 where x.key) from pragma_table_list l join pragma_index_list(l.name) i \
                 where i.origin = 'c'",
            ),
            read("select 'step ' || version || ' ' || description from _sqlx_migrations"),
        ]
        .concat(),
    );

    let database = SERVER.database();
    SqlHistory::at(&SERVER.url(&database)).await.unwrap();
    let ask = |sql: &str| -> Vec<String> {
        let answer = SERVER.psql(&database, sql);
        answer.lines().map(str::to_owned).collect()
    };
    let shared = shape(
        [
            ask(
                "select table_name || '.' || column_name || ' ' || data_type || \
                 case is_nullable when 'NO' then ' not null' else '' end \
                 from information_schema.columns where table_schema = 'public'",
            ),
            ask(
                "select c.relname || ' on ' || t.relname || case when i.indisunique then \
                 ' unique' else '' end || case when i.indpred is not null then ' partial' \
                 else '' end || ': ' || (select string_agg(a.attname || case when \
                 i.indoption[k.n - 1] & 1 = 1 then ' desc' else '' end, ',' order by k.n) \
                 from unnest(i.indkey) with ordinality k(at, n) join pg_attribute a \
                 on a.attrelid = t.oid and a.attnum = k.at) \
                 from pg_index i join pg_class c on c.oid = i.indexrelid \
                 join pg_class t on t.oid = i.indrelid \
                 join pg_namespace s on s.oid = t.relnamespace \
                 where s.nspname = 'public' and not i.indisprimary",
            ),
            ask("select 'step ' || version || ' ' || description from _sqlx_migrations"),
        ]
        .concat(),
    );
    assert!(embedded.len() > 40, "{embedded:?}");
    assert_eq!(embedded, shared);
}

/// Does statements in a history, beside it; gives the first value of each line.
type Ask<'a> = &'a dyn Fn(&str) -> Vec<String>;

/// While a process of the version before lives, which knows no packed records,
/// none is packed; from then on such a program is refused.
async fn records_are_packed_when_all_can_read_them(history: &SqlHistory, ask: Ask<'_>) {
    let far = i64::MAX;
    ask(&format!(
        "insert into replicas (owner, expires_at) values ('older', {far}) returning 1"
    ));
    history
        .beat(&owner(), std::time::Duration::from_mins(1))
        .await
        .unwrap();
    let first = ended(history, "first").await;
    let kept = "select case when packed is null then record else 'packed' || record end \
                from runs order by id";
    assert_eq!(ask(kept), [serde_json::to_string(&first).unwrap()]);
    assert_eq!(ask("select known from schema_needs"), ["12"]);
    // What was only needed to end it after a death.
    assert!(ask("select 1 from journal union all select 1 from ledger").is_empty());

    ask("update replicas set expires_at = 0 where owner = 'older' returning 1");
    let second = ended(history, "second").await;
    assert_eq!(ask(kept)[1], "packed");
    assert_eq!(ask("select known from schema_needs"), ["13"]);
    let listed = history.list(&Filter::default()).await.unwrap();
    assert_eq!(listed, [second, first]);
}

/// A run that has ended.
async fn ended(history: &SqlHistory, drill: &str) -> RunRecord {
    let at = Timestamp::now();
    let mut record = RunRecord::requested(RunId::new(at), drill, "sqlite", at);
    let demand = Demand::unlimited(Vec::new());
    let claim = history.begin(&record, &owner(), &demand).await.unwrap();
    let started = Entry::StepStarted {
        step: Step::Capture,
    };
    let resource = Resource::Directory { path: "/s".into() };
    let writes = [
        Write::Entry(&started),
        Write::Intend(Acquired::Sandbox, &resource),
    ];
    history.write(&claim, at, &writes).await.unwrap();
    record.verdict = Some(Verdict::Passed);
    record.finished_at = Some(at);
    let writes = [Write::Entry(&Entry::Finished), Write::Record(&record)];
    history.write(&claim, at, &writes).await.unwrap();
    record
}

#[tokio::test]
async fn sqlite_packs_records_when_all_can_read_them() {
    let (_dir, path, file) = embedded().await;
    let history = SqlHistory::in_file(&path).await.unwrap();
    let ask = |sql: &str| -> Vec<String> {
        let mut asked = file.prepare(sql).unwrap();
        let text = |row: &rusqlite::Row<'_>| {
            let value: rusqlite::types::Value = row.get(0)?;
            Ok(match value {
                rusqlite::types::Value::Integer(number) => number.to_string(),
                rusqlite::types::Value::Text(text) => text,
                other => format!("{other:?}"),
            })
        };
        let rows = asked.query_map([], text).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    records_are_packed_when_all_can_read_them(&history, &ask).await;
}

#[tokio::test]
async fn postgresql_packs_records_when_all_can_read_them() {
    let database = SERVER.database();
    let history = SqlHistory::at(&SERVER.url(&database)).await.unwrap();
    let ask = |sql: &str| -> Vec<String> {
        let answer = SERVER.psql(&database, sql);
        answer.lines().map(str::to_owned).collect()
    };
    records_are_packed_when_all_can_read_them(&history, &ask).await;
}

/// However often its connections are cut, each write is made, and once.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_connection_is_cut_is_made_once() {
    let database = SERVER.database();
    let history = SqlHistory::at(&SERVER.url(&database)).await.unwrap();
    let at = Timestamp::from_second(1_800_000_000).unwrap();
    let record = RunRecord::requested(RunId::new(at), "cut", "sqlite", at);
    let demand = Demand {
        limits: Limits::default(),
        shares: Vec::new(),
        promised: false,
    };
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let of = database.clone();
    let cutting = std::thread::spawn(move || {
        let sql = format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity \
             where datname = '{of}' and pid <> pg_backend_pid()"
        );
        let mut cuts = 0;
        while stopped.try_recv().is_err() {
            cuts += SERVER.psql("postgres", &sql).parse::<u32>().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(3));
        }
        cuts
    });
    let claim = history.begin(&record, &owner(), &demand).await.unwrap();
    let mut wanted = Vec::new();
    for number in 0..150 {
        let entry = Entry::StepDone {
            step: Step::Capture,
            summary: number.to_string(),
            copy: None,
        };
        let writes = [Write::Entry(&entry)];
        history.write(&claim, at, &writes).await.unwrap();
        wanted.push(entry);
    }
    let claim = history
        .take_over(record.id, claim.epoch, &owner(), Gone::Seen)
        .await;
    assert!(claim.unwrap().is_some());
    stop.send(()).unwrap();
    let cuts = cutting.join().unwrap();
    assert!(cuts > 10, "only {cuts} connections were cut");
    let unfinished = loop {
        match history.unfinished().await {
            Err(StoreError::Unreachable { .. }) => {}
            found => break found.unwrap(),
        }
    };
    assert_eq!(unfinished[0].journal, wanted);
}

fn owner() -> Owner {
    Owner {
        host: "here".to_owned(),
        boot: "b".to_owned(),
        pid: 1,
        start_ticks: 1,
        service: false,
    }
}

#[tokio::test]
async fn two_processes_may_open_a_new_file_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    let opened = futures_util::future::join_all((0..8).map(|_| SqlHistory::in_file(&path))).await;
    for history in opened {
        history.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_no_history_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    std::fs::write(&path, "not a database at all, but long enough to look at").unwrap();
    assert!(SqlHistory::in_file(&path).await.is_err());
}

/// A schema that this program does not know: changed by a newer one.
const NEWER: &str = "\
    insert into _sqlx_migrations (version, description, success, checksum, execution_time) \
        select version + 1, 'more', true, checksum, 0 from _sqlx_migrations \
        order by version desc limit 1; \
    alter table requests add column more text;";

const NEEDED: &str = "update schema_needs set known = (select max(version) from _sqlx_migrations)";

#[track_caller]
fn refused(opened: Result<SqlHistory, StoreError>) {
    let error = opened.map(|_| ()).unwrap_err();
    assert!(
        error.to_string().contains("a version of Lifeboat"),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("--state-dir"), "{error:?}");
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_used_unless_it_needs_more() {
    let (_dir, path, file) = embedded().await;
    file.execute_batch(NEWER).unwrap();
    let history = SqlHistory::in_file(&path).await.unwrap();
    contract::suite(&history).await.unwrap();
    file.execute_batch(NEEDED).unwrap();
    refused(SqlHistory::in_file(&path).await);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_used_unless_it_needs_more() {
    let database = SERVER.database();
    let url = SERVER.url(&database);
    SqlHistory::at(&url).await.unwrap();
    SERVER.psql(&database, NEWER);
    let history = SqlHistory::at(&url).await.unwrap();
    contract::suite(&history).await.unwrap();
    SERVER.psql(&database, NEEDED);
    refused(SqlHistory::at(&url).await);
}

#[tokio::test]
async fn a_history_whose_schema_was_made_otherwise_is_refused() {
    let (_dir, path, file) = embedded().await;
    let change = "update _sqlx_migrations set checksum = x'00'";
    file.execute(change, []).unwrap();
    refused(SqlHistory::in_file(&path).await);
}
