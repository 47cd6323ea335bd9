//! What stands around the schema. Most of it is not in a database's dump.

use super::super::change;
use crate::detection::fault::{Fault, Plant};

const fn around(name: &'static str, sql: &'static str, names: &'static [&'static str]) -> Fault {
    Fault::sql(name, sql, &["environment"], names)
}

pub const FAULTS: &[Fault] = &[
    around(
        "a setting of the database is lost",
        "DELETE FROM pg_db_role_setting WHERE setrole = 0
            AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
        &["the database setting search_path"],
    ),
    around(
        "a setting of the database is another",
        "UPDATE pg_db_role_setting SET setconfig = '{search_path=public}' WHERE setrole = 0
            AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
        &["the database setting search_path"],
    ),
    around(
        "a setting of a role in the database is lost",
        "DELETE FROM pg_db_role_setting WHERE setrole = 'reporting'::regrole
            AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())",
        &["role reporting", "work_mem"],
    ),
    around(
        "the database changes its owner",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO reporting', current_database()); END $$",
        &["the database owner is reporting, was shop_owner"],
    ),
    around(
        "a grant on the database is lost",
        "UPDATE pg_database SET datacl = NULL WHERE datname = current_database()",
        &["the database grants"],
    ),
    Fault::sql(
        "an extension is lost, with an index that needs it",
        "DROP EXTENSION pg_trgm CASCADE",
        &["environment", "schema"],
        &[
            "extension pg_trgm is missing",
            "index shop.customers_trgm_idx is missing",
        ],
    ),
    around(
        "an extension lies in another schema",
        "ALTER EXTENSION \"uuid-ossp\" SET SCHEMA shop",
        &["extension \"uuid-ossp\" schema is shop, was public"],
    ),
    around(
        "indexes were built by another version of a collation",
        "UPDATE pg_collation SET collversion = '1.1' WHERE collname = 'en-x-icu'",
        &["en-x-icu", "1.1"],
    ),
    Fault::new(
        "a role is missing when the dump is loaded",
        Plant::Alone(change::without_role),
        &["environment", "load", "schema"],
        &["reporting"],
    ),
    Fault::new(
        "a role has lost its attributes and memberships",
        Plant::Alone(change::weaker_role),
        &["environment"],
        &["role reporting"],
    ),
];
