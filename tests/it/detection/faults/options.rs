//! Backups that are whole and do not hold everything: by the options that
//! `pg_dump` is called with, or because rows are missing in them.

use super::super::change;
use crate::detection::fault::{Fault, Plant};

const fn made(
    name: &'static str,
    args: &'static [&'static str],
    found_by: &'static [&'static str],
    names: &'static [&'static str],
) -> Fault {
    Fault::new(name, Plant::Made(args), found_by, names)
}

pub const FAULTS: &[Fault] = &[
    Fault::new(
        "rows are missing in a data file",
        Plant::Dump(change::drop_rows),
        &["fingerprints"],
        &["shop.readings"],
    ),
    Fault::new(
        "one digit is changed in a data file",
        Plant::Dump(change::one_digit),
        &["fingerprints"],
        &["shop.readings"],
    ),
    Fault::new(
        "a row is twice in a data file, so that the primary key cannot be made",
        Plant::Dump(change::double_row),
        &["fingerprints", "load", "schema"],
        &["shop.readings", "readings_pkey"],
    ),
    Fault::new(
        "a parent row is missing, so that a foreign key cannot be made",
        Plant::Dump(change::orphan_row),
        &["fingerprints", "load", "schema"],
        &["shop.orders_2024", "payments_order_id_placed_fkey"],
    ),
    made(
        "no indexes (pg_dump without its last section)",
        &["--format=custom", "--section=pre-data", "--section=data"],
        &["schema"],
        &["index shop.readings_taken_idx is missing", "readings_pkey"],
    ),
    made(
        "no rows (pg_dump --schema-only)",
        &["--format=custom", "--schema-only"],
        &["fingerprints", "schema"],
        &["shop.readings"],
    ),
    made(
        "one schema only (pg_dump --schema)",
        &["--format=custom", "--schema=shop"],
        &["environment", "fingerprints", "load", "schema"],
        &["public.base"],
    ),
    made(
        "a table is left out (pg_dump --exclude-table)",
        &["--format=custom", "--exclude-table=shop.prices"],
        &["fingerprints", "schema", "views"],
        &["shop.prices", "view shop.price_list"],
    ),
    made(
        "the rows of a table are left out (pg_dump --exclude-table-data)",
        &["--format=custom", "--exclude-table-data=shop.documents"],
        &["fingerprints"],
        &["shop.documents"],
    ),
    made(
        "no rows of unlogged tables (pg_dump --no-unlogged-table-data)",
        &["--format=custom", "--no-unlogged-table-data"],
        &["fingerprints"],
        &["public.scratch"],
    ),
    made(
        "no large objects (pg_dump --no-blobs)",
        &["--format=custom", "--no-blobs"],
        &["fingerprints", "schema"],
        &["large objects"],
    ),
    made(
        "no owners (pg_dump --no-owner)",
        &["--format=plain", "--no-owner"],
        &["schema"],
        &["table shop.customers owner"],
    ),
    made(
        "no grants (pg_dump --no-privileges)",
        &["--format=custom", "--no-privileges"],
        &["schema"],
        &["view shop.rich grants"],
    ),
    made(
        "no comments (pg_dump --no-comments)",
        &["--format=custom", "--no-comments"],
        &["schema"],
        &["comment on table shop.customers is missing"],
    ),
    made(
        "no publications (pg_dump --no-publications)",
        &["--format=custom", "--no-publications"],
        &["schema"],
        &["publication changes is missing"],
    ),
];
