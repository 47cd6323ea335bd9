//! Files that a disk, a controller or a kernel has changed.

use super::super::change;
use crate::detection::fault::{Fault, Plant};

pub const FAULTS: &[Fault] = &[
    Fault::new(
        "one bit of a table's file is turned",
        Plant::File("'shop.documents'", change::turn_bit),
        &["fingerprints", "integrity"],
        &["fingerprint of shop.documents", "table shop.documents"],
    ),
    Fault::new(
        "one bit of a TOAST table's file is turned",
        Plant::File(
            "(SELECT reltoastrelid FROM pg_class WHERE oid = 'shop.documents'::regclass)",
            change::turn_bit,
        ),
        &["fingerprints", "integrity"],
        &["fingerprint of shop.documents", "table shop.documents (TOAST)"],
    ),
    Fault::new(
        "a page of a table's file is all zeros",
        Plant::File("'shop.readings'", change::zero_page),
        &["fingerprints"],
        &["shop.readings"],
    ),
    Fault::new(
        "a table's file is cut off",
        Plant::File("'shop.readings'", change::cut_pages),
        &["fingerprints"],
        &["shop.readings"],
    ),
    Fault::new(
        "one bit of an index's file is turned",
        Plant::File("'shop.readings_taken_idx'", change::turn_bit),
        &["integrity"],
        &["index shop.readings_taken_idx"],
    ),
    Fault::new(
        "one bit of a GIN index's file is turned",
        Plant::File("'shop.customers_trgm_idx'", change::turn_bit),
        &["integrity"],
        &["index shop.customers_trgm_idx"],
    ),
    Fault::sql(
        "an index was built with an earlier version of its function",
        "CREATE OR REPLACE FUNCTION shop.total(a text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(a)';
         REINDEX INDEX shop.documents_total_idx;
         CREATE OR REPLACE FUNCTION shop.total(a text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper(a)'",
        &["integrity"],
        &["index shop.documents_total_idx"],
    ),
    Fault::sql(
        "an index misses a row",
        "UPDATE pg_index SET indisready = false WHERE indexrelid = 'shop.readings_label_idx'::regclass;
         UPDATE shop.readings SET label = label WHERE id = 1500;
         UPDATE pg_index SET indisready = true WHERE indexrelid = 'shop.readings_label_idx'::regclass",
        &["integrity"],
        &["index shop.readings_label_idx"],
    ),
];
