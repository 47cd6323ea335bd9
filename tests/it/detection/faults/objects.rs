//! Tables and what belongs to them.

use crate::detection::fault::Fault;

const fn schema(name: &'static str, sql: &'static str, names: &'static [&'static str]) -> Fault {
    Fault::sql(name, sql, &["schema"], names)
}

pub const FAULTS: &[Fault] = &[
    Fault::sql(
        "a table is lost",
        "DROP TABLE shop.visits",
        &["fingerprints", "schema"],
        &["shop.visits", "table shop.visits is missing"],
    ),
    Fault::sql(
        "an empty table is lost",
        "DROP TABLE \"Odd \"\"Schéma\"\"\".\"empty\"",
        &["fingerprints", "schema"],
        &["empty"],
    ),
    Fault::sql(
        "a partition is lost, with its rows",
        "DROP TABLE shop.orders_2024 CASCADE",
        &["fingerprints", "schema"],
        &["shop.orders_2024"],
    ),
    schema(
        "a partition stands beside its table",
        "ALTER TABLE shop.orders DETACH PARTITION shop.orders_2025",
        &["shop.orders_2025"],
    ),
    Fault::sql(
        "a column is lost",
        "ALTER TABLE shop.readings DROP COLUMN remark",
        &["fingerprints", "schema"],
        &["column shop.readings.remark is missing"],
    ),
    schema(
        "a column changes its type, and no value changes",
        "ALTER TABLE shop.documents ALTER body TYPE varchar",
        &["column shop.documents.body type"],
    ),
    schema(
        "a column loses its length",
        "ALTER TABLE shop.customers ALTER nick TYPE varchar",
        &["column shop.customers.nick type is character varying, was character varying(20)"],
    ),
    Fault::sql(
        "a column rounds to whole numbers",
        "ALTER TABLE shop.readings ALTER amount TYPE numeric(12, 0)",
        &["fingerprints", "schema"],
        &[
            "shop.readings",
            "column shop.readings.amount type is numeric(12,0)",
        ],
    ),
    schema(
        "a column loses its collation",
        "ALTER TABLE shop.customers ALTER nick TYPE varchar(20) COLLATE \"default\"",
        &["column shop.customers.nick", "collation"],
    ),
    schema(
        "a default is lost",
        "ALTER TABLE shop.customers ALTER mood DROP DEFAULT",
        &["column shop.customers.mood lost its default"],
    ),
    schema(
        "a default changes",
        "ALTER TABLE shop.prices ALTER valid_from SET DEFAULT '2026-01-01'",
        &["column shop.prices.valid_from default"],
    ),
    Fault::sql(
        "a generated column has another expression",
        "ALTER TABLE shop.prices DROP COLUMN gross,
            ADD COLUMN gross numeric(10, 2) GENERATED ALWAYS AS (net * 1.19) STORED",
        &["fingerprints", "schema"],
        &["shop.prices", "column shop.prices.gross generated"],
    ),
    schema(
        "an identity column is an ordinary one",
        "ALTER TABLE shop.customers ALTER id DROP IDENTITY;
         CREATE SEQUENCE shop.customers_id_seq AS bigint;
         ALTER SEQUENCE shop.customers_id_seq OWNER TO shop_owner;
         ALTER SEQUENCE shop.customers_id_seq OWNED BY shop.customers.id;
         SELECT setval('shop.customers_id_seq', 200)",
        &["column shop.customers.id lost its identity"],
    ),
    // The digest's expression follows what can be null.
    Fault::sql(
        "NOT NULL is lost",
        "ALTER TABLE shop.readings ALTER label DROP NOT NULL",
        &["schema"],
        &["column shop.readings.label lost its not null"],
    ),
    schema(
        "a check constraint is lost",
        "ALTER TABLE shop.customers DROP CONSTRAINT name_not_empty",
        &["constraint name_not_empty on shop.customers is missing"],
    ),
    schema(
        "a check constraint is there and not validated",
        "UPDATE pg_constraint SET convalidated = false WHERE conname = 'name_not_empty'",
        &["constraint name_not_empty on shop.customers validated is false"],
    ),
    schema(
        "a primary key is lost",
        "ALTER TABLE shop.readings DROP CONSTRAINT readings_pkey",
        &["constraint readings_pkey on shop.readings is missing"],
    ),
    schema(
        "a unique constraint is no longer deferrable",
        "ALTER TABLE shop.customers DROP CONSTRAINT nick_is_unique;
         ALTER TABLE shop.customers ADD CONSTRAINT nick_is_unique UNIQUE (nick)",
        &["constraint nick_is_unique on shop.customers definition"],
    ),
    schema(
        "a foreign key is lost",
        "ALTER TABLE shop.payments DROP CONSTRAINT payments_order_id_placed_fkey",
        &["constraint payments_order_id_placed_fkey on shop.payments is missing"],
    ),
    schema(
        "a foreign key no longer deletes with its parent",
        "ALTER TABLE shop.orders DROP CONSTRAINT orders_customer_fkey;
         ALTER TABLE shop.orders ADD CONSTRAINT orders_customer_fkey
            FOREIGN KEY (customer) REFERENCES shop.customers",
        &["constraint orders_customer_fkey on shop.orders definition"],
    ),
    schema(
        "a foreign key is not enforced (its triggers are disabled)",
        "ALTER TABLE shop.payments DISABLE TRIGGER ALL",
        &["constraint payments_order_id_placed_fkey on shop.payments has disabled triggers"],
    ),
    schema(
        "an exclusion constraint is lost",
        "ALTER TABLE public.bookings DROP CONSTRAINT bookings_during_excl",
        &["constraint bookings_during_excl on public.bookings is missing"],
    ),
    schema(
        "an index is lost",
        "DROP INDEX shop.readings_taken_idx",
        &["index shop.readings_taken_idx is missing"],
    ),
    schema(
        "an index is invalid, as after a build that failed",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'shop.readings_taken_idx'::regclass",
        &["index shop.readings_taken_idx state is invalid"],
    ),
    schema(
        "a partial index has another predicate",
        "DROP INDEX shop.customers_name_idx;
         CREATE INDEX customers_name_idx ON shop.customers (lower(name)) WHERE nick IS NULL;
         COMMENT ON INDEX shop.customers_name_idx IS 'for look-ups'",
        &["index shop.customers_name_idx definition"],
    ),
    schema(
        "a unique index of a materialized view is lost",
        "DROP INDEX shop.per_day_idx",
        &["index shop.per_day_idx is missing"],
    ),
    schema(
        "a table is unlogged",
        "ALTER TABLE shop.visits SET UNLOGGED",
        &["table shop.visits persistence is unlogged"],
    ),
    schema(
        "a table loses its parent",
        "ALTER TABLE public.derived NO INHERIT public.base",
        &["table public.derived lost its inherits"],
    ),
    schema(
        "storage parameters are lost",
        "ALTER TABLE shop.customers RESET (fillfactor)",
        &["table shop.customers lost its options"],
    ),
    schema(
        "extended statistics are lost",
        "DROP STATISTICS shop.customers_stats",
        &["statistics shop.customers_stats is missing"],
    ),
    schema(
        "a replica identity is lost",
        "ALTER TABLE shop.payments REPLICA IDENTITY DEFAULT",
        &["table shop.payments replica identity"],
    ),
];
