//! Fingerprints: the same data has the same one, and nothing escapes it.

use lifeboat::{
    domain::fingerprint::{Difference, Fingerprint, compare},
    engine::postgresql::fingerprint::{self, Equality, Options},
};

use crate::support::{self, postgres::SERVER};

fn options() -> Options<'static> {
    Options {
        equality: Equality::Typed,
        exclude: Vec::new(),
        jobs: 2,
        locate: true,
        like: None,
        only: None,
    }
}

async fn take(database: &str) -> Fingerprint {
    let (cx, _) = support::context();
    fingerprint::take(&cx, &SERVER.endpoint(database), None, &options())
        .await
        .unwrap()
}

/// Every type with two values that differ as little as they can.
const VALUES: &[(&str, &str, &str)] = &[
    ("int2", "1", "2"),
    ("int4", "1", "2"),
    // These two fold to the same 32 bits.
    ("int8", "0", "4294967297"),
    ("numeric", "1.0", "1.00"),
    ("numeric", "5", "-5"),
    ("numeric", "'NaN'", "'Infinity'"),
    ("jsonb", "'{\"a\":5}'", "'{\"a\":-5}'"),
    ("numeric", "'NaN'", "'0'"),
    ("float4", "'NaN'", "1"),
    ("float8", "1.0000000000000002", "1"),
    ("float8", "0", "'-0'"),
    ("float4", "'-0'", "null"),
    ("jsonb", "'[[1],2]'", "'[[1,2]]'"),
    ("jsonb", "'1.0'", "'1.00'"),
    ("bool", "true", "false"),
    ("text", "''", "null"),
    ("text", "'a '", "'a'"),
    ("varchar(9)", "'ä'", "'a'"),
    ("bpchar(5)", "'a'", "'b'"),
    ("bpchar", "'a'", "'a '"),
    ("blank", "'a'", "'b'"),
    ("\"char\"", "'a'", "'b'"),
    ("name", "'a'", "'b'"),
    ("bytea", "'\\x00'", "'\\x'"),
    ("date", "'infinity'", "'-infinity'"),
    ("date", "'5874897-12-31'", "'5874897-12-30'"),
    ("timestamp", "'2020-01-01 00:00:00.000001'", "'2020-01-01'"),
    ("timestamptz", "'infinity'", "'2020-01-01'"),
    ("time", "'10:00'", "'10:01'"),
    ("timetz", "'10:00+01'", "'10:00+02'"),
    // Equal by value.
    ("interval", "'1 month'", "'30 days'"),
    (
        "uuid",
        "'00000000-0000-0000-0000-000000000001'",
        "'00000000-0000-0000-0000-000000000002'",
    ),
    ("json", "'{\"a\":1}'", "'{\"a\": 1}'"),
    ("jsonb", "'{\"a\":1}'", "'{\"a\":2}'"),
    ("xml", "'<a/>'", "'<b/>'"),
    ("int[]", "'{1,2,3,4}'", "'{{1,2},{3,4}}'"),
    ("text[]", "'{NULL}'", "'{\"NULL\"}'"),
    ("int4range", "'[1,5)'", "'[1,6)'"),
    ("inet", "'10.0.0.1/8'", "'10.0.0.1/16'"),
    ("bit(3)", "'101'", "'100'"),
    ("money", "'1.00'", "'1.01'"),
    ("point", "'(1,2)'", "'(2,1)'"),
    ("tsvector", "'a b'", "'a c'"),
    ("mood", "'sad'", "'glad'"),
    ("pair", "'(1,)'", "'(,1)'"),
    ("short", "'ab'", "'ac'"),
    ("regclass", "'pg_class'", "'pg_type'"),
    ("oid", "1", "2"),
    ("pg_lsn", "'0/1'", "'0/2'"),
];

const TYPES: &str = "create type mood as enum ('sad', 'glad'); \
    create type pair as (a int, b int); create domain short as varchar(3); create domain blank as char(3);";

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_any_value_of_any_type_is_seen() {
    let database = SERVER.database();
    SERVER.psql(&database, TYPES);
    let mut script = String::new();
    for (number, (of_type, one, _)) in VALUES.iter().enumerate() {
        script += &format!(
            "create table v{number} (id int primary key, v {of_type}); \
                            insert into v{number} values (7, {one}), (8, {one});"
        );
    }
    SERVER.psql(&database, &script);
    let before = take(&database).await;
    assert!(compare(&before, &take(&database).await).is_empty());
    let mut script = String::new();
    for (number, (_, _, other)) in VALUES.iter().enumerate() {
        script += &format!("update v{number} set v = {other} where id = 8;");
    }
    SERVER.psql(&database, &script);
    let differences = compare(&before, &take(&database).await);
    for (number, value) in VALUES.iter().enumerate() {
        let difference = differences.get(&format!("public.v{number}"));
        let Some(Difference::Changed { located, .. }) = difference else {
            panic!("{value:?} escaped: {difference:?}");
        };
        assert_eq!(*located, Some(8), "{value:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_change_places_are_seen() {
    let database = SERVER.database();
    let tables = [
        (
            "between_rows",
            "(1, 'a', 'x'), (2, 'b', 'y')",
            "(1, 'b', 'x'), (2, 'a', 'y')",
        ),
        ("between_columns", "(1, 'a', 'b')", "(1, 'b', 'a')"),
        ("null_moves", "(1, 'a', null)", "(1, null, 'a')"),
        (
            "doubled",
            "(1, 'a', 'a'), (1, 'a', 'a')",
            "(2, 'b', 'b'), (2, 'b', 'b')",
        ),
    ];
    for (name, rows, _) in tables {
        SERVER.psql(
            &database,
            &format!(
                "create table {name} (n int8, a text, b text); \
                                         insert into {name} values {rows}"
            ),
        );
    }
    let before = take(&database).await;
    for (name, _, rows) in tables {
        SERVER.psql(
            &database,
            &format!("truncate {name}; insert into {name} values {rows}"),
        );
    }
    let differences = compare(&before, &take(&database).await);
    assert_eq!(differences.len(), tables.len(), "{differences:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn order_layout_and_settings_do_not_matter() {
    let database = SERVER.database();
    SERVER.psql(&database, TYPES);
    let columns: Vec<String> = VALUES
        .iter()
        .enumerate()
        .map(|(number, (of_type, ..))| format!("c{number} {of_type}"))
        .collect();
    let one: Vec<&str> = VALUES.iter().map(|(_, one, _)| *one).collect();
    let other: Vec<&str> = VALUES.iter().map(|(_, _, other)| *other).collect();
    SERVER.psql(
        &database,
        &format!(
            "create table all_types (id int primary key, gone int, {}); \
         insert into all_types values (1, 0, {}), (2, 0, {}); \
         alter table all_types drop column gone; \
         create table big as select g as id, md5(g::text) as t from generate_series(1, 50000) g",
            columns.join(", "),
            one.join(", "),
            other.join(", "),
        ),
    );
    let before = take(&database).await;
    SERVER.psql(
        &database,
        &format!(
            "alter database {database} set timezone = 'Asia/Tokyo'; \
         alter database {database} set datestyle = 'German'; \
         alter database {database} set intervalstyle = 'iso_8601'; \
         alter database {database} set bytea_output = 'escape'; \
         alter database {database} set extra_float_digits = -5; \
         create table other as select * from big order by t; truncate big; \
         insert into big select * from other; drop table other; \
         update all_types set id = id; \
         insert into all_types select 3; delete from all_types where id = 3;"
        ),
    );
    SERVER.psql(&database, "vacuum full");
    let after = take(&database).await;
    assert!(
        compare(&before, &after).is_empty(),
        "{:?}",
        compare(&before, &after)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_tables_are_all_there() {
    let database = SERVER.database();
    SERVER.psql(
        &database,
        "create table blank (); insert into blank default values; \
        create schema \"a \"\"b\"\"\"; create table \"a \"\"b\"\"\".\"select\" (\"from ü\" text); \
        create unlogged table u (a int); insert into u values (1); \
        create table p (k int, v text) partition by list (k); \
        create table p1 partition of p for values in (1); insert into p values (1, 'x'); \
        create table parent (a int); create table child (b int) inherits (parent); \
        insert into parent values (1); insert into child values (2, 3); \
        create materialized view m as select * from p; \
        create sequence s; select nextval('s'); select lo_from_bytea(4711, '\\xff'::bytea);",
    );
    let fingerprint = take(&database).await;
    let rows = |name: &str| fingerprint.tables.get(name).map(|table| table.rows);
    assert_eq!(rows("public.blank"), Some(1));
    assert_eq!(rows("\"a \"\"b\"\"\".\"select\""), Some(0));
    assert_eq!(rows("public.u"), Some(1));
    assert_eq!(rows("public.p1"), Some(1));
    assert_eq!(
        rows("public.p"),
        None,
        "a partitioned table holds no rows itself"
    );
    assert_eq!(
        rows("public.parent"),
        Some(1),
        "a child's rows are the child's"
    );
    assert_eq!(rows("public.m"), None);
    assert!(fingerprint.untested.contains_key("public.m"));
    assert_eq!(fingerprint.objects["large objects"].rows, 1);
    assert_eq!(fingerprint.sequences["public.s"].low, 1);
    SERVER.psql(&database, "select lo_put(4711, 2000000, '\\x01'::bytea)");
    assert_eq!(compare(&fingerprint, &take(&database).await).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_many_blocks_is_whole_however_it_is_cut() {
    let database = SERVER.database();
    SERVER.psql(
        &database,
        "create table wide (id int8 primary key, v text); \
        insert into wide select g, repeat(md5(g::text), 30) from generate_series(1, 120000) g",
    );
    let fingerprint = take(&database).await;
    let (cx, _) = support::context();
    let one = Options {
        jobs: 1,
        ..options()
    };
    let endpoint = SERVER.endpoint(&database);
    let again = fingerprint::take(&cx, &endpoint, None, &one).await.unwrap();
    assert_eq!(fingerprint.tables["public.wide"].rows, 120_000);
    assert_eq!(fingerprint, again);
    SERVER.psql(&database, "update wide set v = v || ' ' where id = 77777");
    let differences = compare(&fingerprint, &take(&database).await);
    assert!(matches!(
        differences["public.wide"],
        Difference::Changed {
            located: Some(77_777),
            ..
        }
    ));
}
