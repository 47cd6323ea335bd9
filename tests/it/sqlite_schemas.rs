//! Random SQLite schemas with data, drilled whole: no false alarm ever, and any
//! one change of the copy is found and named.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use fastrand::Rng;
use futures_util::{StreamExt, stream};
use lifeboat::{
    domain::{
        record::{Profile, RunRecord},
        verdict::{Cleanup, Verdict},
    },
    engine::sqlite::SqliteEngine,
    spec::{self, drill::Workload},
};
use rusqlite::Connection;

use crate::{
    sqlite_drill::copy_of,
    support::stage::{self, Harm, errors},
};

const NAMES: &[&str] = &[
    "plain",
    "Mixed Case",
    "quo\"te",
    "apo'strophe",
    "dot.ted",
    "semi;colon",
    "select",
    "größe",
    "日本語",
    "rowid",
    "_rowid_",
    "back\\slash",
    "new\nline",
    "[bracket]",
    "`tick`",
    "%like_",
    "--c",
];

const VALUES: &[&str] = &[
    "null",
    "0",
    "-1",
    "9223372036854775807",
    "1.5",
    "-0.0",
    "9e999",
    "-9e999",
    "1e-300",
    "''",
    "' '",
    "'text'",
    "'it''s'",
    "'日本語'",
    "x''",
    "x'00'",
    "x'deadbeef'",
    "cast(x'ff00fe' as text)",
    "'a' || char(0) || 'b'",
    "zeroblob(5000)",
    "randomblob(20)",
    "hex(randomblob(3000))",
    "'12'",
    "true",
];

const TYPES: &[&str] = &[
    "",
    "integer",
    "text",
    "real",
    "blob",
    "numeric",
    "varchar(10)",
    "any",
    "datetime",
];

struct Maker {
    rng: Rng,
    number: usize,
    sql: Vec<String>,
    /// Quoted, with their quoted columns.
    tables: Vec<(String, Vec<String>)>,
}

impl Maker {
    fn name(&mut self) -> String {
        self.number += 1;
        let name = format!("{}{}", self.rng.choice(NAMES).unwrap(), self.number);
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.rng.usize(..n) == 0
    }

    fn value(&mut self) -> String {
        match self.rng.u8(..4) {
            0 => self.rng.i64(..).to_string(),
            1 => format!("'{}'", self.rng.u32(..)),
            _ => (*self.rng.choice(VALUES).unwrap()).to_owned(),
        }
    }

    fn all(&mut self) {
        let page = 512 << self.rng.u8(..4);
        self.sql.push(format!("pragma page_size = {page}"));
        for pragma in [
            "encoding = 'UTF-16'",
            "auto_vacuum = full",
            "journal_mode = wal",
            "user_version = 77",
            "application_id = 12345",
            "foreign_keys = on",
        ] {
            if self.one_in(3) {
                self.sql.push(format!("pragma {pragma}"));
            }
        }
        for _ in 0..self.rng.usize(1..5) {
            self.table();
        }
        for _ in 0..self.rng.usize(..5) {
            self.beside();
        }
        if self.one_in(4) {
            self.sql
                .push("create virtual table search using fts5(title, body)".into());
            self.sql
                .push("insert into search values ('a b', 'c d'), ('e', null)".into());
        }
        if self.one_in(5) {
            self.sql
                .push("create virtual table places using rtree(id, x1, x2)".into());
            self.sql
                .push("insert into places values (1, 0.5, 1.5)".into());
        }
        for last in ["vacuum", "analyze"] {
            if self.one_in(4) {
                self.sql.push(last.into());
            }
        }
    }

    fn table(&mut self) {
        let table = self.name();
        let mut parts = Vec::new();
        let mut columns = Vec::new();
        let strict = self.one_in(5);
        for _ in 0..self.rng.usize(1..7) {
            let column = self.name();
            let kind = if strict {
                "any"
            } else {
                *self.rng.choice(TYPES).unwrap()
            };
            let extra = [
                "",
                "",
                " default 'x'",
                " collate nocase",
                " check (true)",
                " default (1 + 1)",
            ];
            parts.push(format!(
                "{column} {kind}{}",
                self.rng.choice(extra).unwrap()
            ));
            columns.push(column);
        }
        let mut options = Vec::new();
        match self.rng.u8(..4) {
            0 => {
                let key = self.name();
                parts.push(format!("{key} integer primary key autoincrement"));
            }
            1 => {
                let key = self.name();
                parts.push(format!(
                    "{key} text default (hex(randomblob(8))) primary key"
                ));
                options.push("without rowid");
            }
            2 => {
                let key = self.name();
                parts.push(format!("{key} integer primary key desc"));
            }
            _ => {}
        }
        if self.one_in(4) {
            let (name, how) = (self.name(), self.rng.choice(["virtual", "stored"]).unwrap());
            let kind = if strict { "any" } else { "" };
            parts.push(format!(
                "{name} {kind} as (coalesce({}, 1) || 'g') {how}",
                columns[0]
            ));
        }
        if strict {
            options.push("strict");
        }
        self.sql.push(format!(
            "create table {table} ({}) {}",
            parts.join(", "),
            options.join(", ")
        ));
        for _ in 0..self.rng.usize(..20) {
            let values: Vec<_> = columns.iter().map(|_| self.value()).collect();
            self.sql.push(format!(
                "insert into {table} ({}) values ({})",
                columns.join(", "),
                values.join(", ")
            ));
        }
        if self.one_in(3) {
            let column = &columns[0];
            self.sql.push(format!(
                "delete from {table} where {column} is (select min({column}) from {table})"
            ));
        }
        self.tables.push((table, columns));
    }

    fn beside(&mut self) {
        let (table, columns) = self.rng.choice(&self.tables).unwrap().clone();
        let (name, column) = (self.name(), self.rng.choice(&columns).unwrap().clone());
        self.sql.push(match self.rng.u8(..7) {
            0 => format!("create index {name} on {table} ({column} collate nocase desc)"),
            1 => format!("create index {name} on {table} ({column}) where {column} is not null"),
            2 => format!("create index {name} on {table} (length({column}), {column})"),
            3 => format!("create unique index {name} on {table} ({column})"),
            4 => format!(
                "create view {name} as select {column} as \"odd \"\"c\" from {table} where 1"
            ),
            5 => {
                format!("create trigger {name} after insert on {table} begin select 'it''s;'; end")
            }
            _ => format!("alter table {table} add column {name} default 'later'"),
        });
    }
}

/// A change of the copy and what has to be named.
struct Mutation {
    sql: String,
    named: String,
}

/// Rows of statement and name.
const CHANGES: &[&str] = &[
    "select 'delete from ' || q || ' where ' || k || ' = (select max(' || k || ') from ' || q || ')', q from t",
    "select 'update ' || q || ' set ' || c || ' = case when ' || c || ' is 7 then 8 else 7 end where ' || k
        || ' = (select min(' || k || ') from ' || q || ')', q from t join a on a.t = t.name",
    "select 'insert into ' || q || ' default values', q from t",
    "select 'drop ' || type || ' ' || q, q from o where sql is not null",
    "select 'alter table ' || q || ' add column more_of_it', q from t",
    "select 'pragma user_version = 4711', 'main'",
    "select 'update sqlite_sequence set seq = seq + 1 where name = ''' || replace(name, '''', '''''') || '''', q
        from t where exists (select 1 from sqlite_schema where name = 'sqlite_sequence')",
];

const COMMON: &str = "with o as (select type, name, sql, '\"' || replace(name, '\"', '\"\"') || '\"' as q
        from sqlite_schema where name not like 'sqlite\\_%' escape '\\' and sql not like 'create virtual%'
        and name not like 'search%' and name not like 'places%'),
    a as (select t.name as t, '\"' || replace(c.name, '\"', '\"\"') || '\"' as c
        from pragma_table_list t, pragma_table_xinfo(t.name) c where t.schema = 'main' and c.hidden = 0 and c.pk = 0),
    t as (select o.name, o.q, case when l.wr then (select '\"' || replace(c.name, '\"', '\"\"') || '\"'
        from pragma_table_info(o.name) c where c.pk = 1) else 'rowid' end as k
        from o join pragma_table_list l on l.name = o.name and l.schema = 'main' where o.type = 'table') ";

fn mutate(copy: &Connection, rng: &mut Rng) -> Mutation {
    loop {
        let sql = format!("{COMMON} {}", rng.choice(CHANGES).unwrap());
        let mut statement = copy.prepare(&sql).unwrap();
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        let rows: Vec<(String, String)> = rows.collect::<Result<_, _>>().unwrap();
        let Some((sql, named)) = rng.choice(rows) else {
            continue;
        };
        let counts = ["delete", "update", "insert"]
            .iter()
            .any(|word| sql.starts_with(word));
        let before = copy.total_changes();
        if copy.execute_batch(&sql).is_ok() && (!counts || copy.total_changes() > before) {
            return Mutation { sql, named };
        }
    }
}

/// A whole drill; `spoilt` says whether its copy comes to harm.
async fn drill(file: &Path, seed: u64, spoilt: bool) -> (RunRecord, Option<Mutation>) {
    let text = format!(
        "apiVersion: lifeboat.dev/v1alpha1\nkind: Drill\nmetadata: {{ name: random }}\n\
         spec: {{ workload: {{ sqlite: {{ file: {} }} }}, checks: {{ integrity: full }} }}\n",
        file.display()
    );
    let drill = spec::parse(&text, Path::new("/random.yaml")).unwrap();
    let Workload::Sqlite(workload) = drill.workload.clone() else {
        panic!("no drill of SQLite");
    };
    let engine = SqliteEngine {
        workload,
        existing: None,
        canary: None,
        checks: drill.checks.clone(),
        profile: Profile::Production,
        verify_jobs: 1,
    };
    let done = Arc::new(Mutex::new(None));
    let told = done.clone();
    let harm: Harm = Box::new(move |instance| {
        let mutation = mutate(&copy_of(instance), &mut Rng::with_seed(seed));
        *told.lock().unwrap() = Some(mutation);
    });
    let engine = stage::harmed(engine, spoilt.then_some(harm));
    let root = file.parent().unwrap();
    let record = stage::run(stage::new_run(), &drill, engine, root).await;
    let done = done.lock().unwrap().take();
    (record, done)
}

/// What is wrong about the drills of a seed; nothing if all is well.
async fn objections(seed: u64) -> Vec<String> {
    let mut maker = Maker {
        rng: Rng::with_seed(seed),
        number: 0,
        sql: Vec::new(),
        tables: Vec::new(),
    };
    maker.all();
    let place = stage::place();
    let file = place.path().join("source.db");
    let source = Connection::open(&file).unwrap();
    for statement in &maker.sql {
        // Some cannot be: a unique index on equal values.
        let _ = source.execute_batch(statement);
    }
    let mut wrong = Vec::new();
    let (record, _) = drill(&file, seed, false).await;
    if record.verdict != Some(Verdict::Passed) || record.cleanup != Cleanup::Clean {
        wrong.push(format!(
            "seed {seed}: false alarm: {:?} {:#?}",
            record.verdict,
            errors(&record)
        ));
    }
    let (record, done) = drill(&file, seed, true).await;
    let Some(done) = done else {
        wrong.push(format!(
            "seed {seed}: the spoilt drill did not serve: {:#?}",
            errors(&record)
        ));
        return wrong;
    };
    let named = errors(&record)
        .iter()
        .any(|error| error.contains(&done.named));
    if record.verdict != Some(Verdict::Failed) || !named {
        wrong.push(format!(
            "seed {seed}: not found or not named: {} ({}): {:?} {:#?}",
            done.sql,
            done.named,
            record.verdict,
            errors(&record)
        ));
    }
    wrong
}

/// Drills of `count` schemas, each clean and spoilt, on all processors.
async fn many(count: u64) {
    let first = stage::seed();
    let at_once = std::thread::available_parallelism().map_or(2, usize::from);
    let wrong: Vec<String> = stream::iter(first..first + count)
        .map(|seed| tokio::spawn(objections(seed)))
        .buffer_unordered(at_once)
        .flat_map(|wrong| stream::iter(wrong.unwrap()))
        .collect()
        .await;
    stage::tell(&format!(
        "{count} clean drills, {count} spoilt ones, {} wrong",
        wrong.len()
    ));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn random_files_raise_no_false_alarm_and_hide_no_change() {
    many(100).await;
}

/// `LIFEBOAT_COUNT` says how many, `LIFEBOAT_SEED` from which one on.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn thousands_of_random_files_raise_no_false_alarm_and_hide_no_change() {
    many(stage::count(5000)).await;
}
