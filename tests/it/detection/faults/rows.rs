//! Rows that are lost, doubled or moved, and data that lies in no table.

use crate::detection::fault::Fault;

const DATA: &[&str] = &["fingerprints"];

pub const FAULTS: &[Fault] = &[
    Fault::sql(
        "one row of a table is lost",
        "DELETE FROM shop.readings WHERE id = 1234",
        DATA,
        &["shop.readings"],
    ),
    Fault::sql(
        "the last rows of a table are lost",
        "DELETE FROM shop.readings WHERE id > 1900",
        DATA,
        &["shop.readings"],
    ),
    Fault::sql(
        "all rows of a table are lost",
        "TRUNCATE shop.documents",
        DATA,
        &["shop.documents"],
    ),
    Fault::sql(
        "a row is there twice",
        "INSERT INTO shop.visits SELECT * FROM shop.visits LIMIT 1",
        DATA,
        &["shop.visits"],
    ),
    Fault::sql(
        "one row is lost and another one is there twice",
        "WITH lost AS (DELETE FROM shop.visits WHERE ctid = '(0,1)')
         INSERT INTO shop.visits SELECT * FROM shop.visits WHERE ctid = '(0,2)'",
        DATA,
        &["shop.visits"],
    ),
    Fault::sql(
        "a pair of equal rows is replaced by another pair",
        "DELETE FROM shop.visits WHERE ctid IN (SELECT ctid FROM shop.visits
            WHERE page = 'page 1' AND visitor = 1 LIMIT 2);
         INSERT INTO shop.visits VALUES ('page 2', 2), ('page 2', 2)",
        DATA,
        &["shop.visits"],
    ),
    Fault::sql(
        "rows of an inheritance child lie in its parent",
        "CREATE TEMPORARY TABLE all_rows AS SELECT * FROM public.derived;
         TRUNCATE public.derived;
         INSERT INTO public.base SELECT id, value FROM all_rows WHERE id < 105;
         INSERT INTO public.derived SELECT * FROM all_rows WHERE id >= 105",
        DATA,
        &["public.base", "public.derived"],
    ),
    Fault::sql(
        "an unlogged table is empty, as after a crash or on a standby",
        "TRUNCATE public.scratch",
        DATA,
        &["public.scratch"],
    ),
    Fault::sql(
        "a materialized view is not filled",
        "REFRESH MATERIALIZED VIEW shop.per_day WITH NO DATA",
        &["schema"],
        &["materialized view shop.per_day"],
    ),
    Fault::sql(
        "a large object is lost",
        "SELECT lo_unlink(90002)",
        &["fingerprints", "schema"],
        &["large objects"],
    ),
    Fault::sql(
        "one byte of a large object is changed",
        "SELECT lo_put(90001, 40000, '\\x00')",
        DATA,
        &["large objects"],
    ),
    Fault::sql(
        "a large object is cut off",
        "SELECT lo_truncate(lo_open(90001, x'60000'::int), 4096)",
        DATA,
        &["large objects"],
    ),
    Fault::sql(
        "a sequence is behind its table",
        "SELECT setval('shop.orders_id_seq', 300)",
        &["fingerprints", "sequences"],
        &["shop.orders_id_seq"],
    ),
    Fault::sql(
        "a sequence of an identity column is reset",
        "ALTER TABLE shop.customers ALTER id RESTART",
        &["fingerprints", "sequences"],
        &["shop.customers_id_seq"],
    ),
    Fault::sql(
        "a sequence that no column owns is reset",
        "ALTER SEQUENCE shop.invoices RESTART",
        DATA,
        &["shop.invoices"],
    ),
];
