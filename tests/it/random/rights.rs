//! Owners, grants, comments, settings.

use super::{
    names::{literal, quoted},
    schema::{Maker, ROLES},
};

pub fn all(m: &mut Maker) {
    for _ in 0..m.rng.usize(1..6) {
        one(m);
    }
    if m.one_in(4) {
        let (role, schema) = (role(m), m.rng.choice(&m.schemas).unwrap().clone());
        m.add(format!(
            "ALTER DEFAULT PRIVILEGES FOR ROLE rnd_owner IN SCHEMA {schema} GRANT SELECT ON TABLES TO {role}"
        ));
    }
    if m.one_in(4) {
        m.add(
            "ALTER DEFAULT PRIVILEGES FOR ROLE rnd_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        );
    }
    settings(m);
}

fn role(m: &mut Maker) -> String {
    quoted(m.rng.choice(ROLES).unwrap())
}

fn one(m: &mut Maker) {
    let (table, role) = (m.pick_table(), role(m));
    let table_name = &table.name;
    let comment = literal("a comment; it's\nodd ✓");
    let statement = match m.rng.usize(..10) {
        0 => format!("GRANT SELECT, INSERT ON {table_name} TO {role} WITH GRANT OPTION"),
        1 => format!("REVOKE ALL ON {table_name} FROM postgres"),
        2 => format!("ALTER TABLE {table_name} OWNER TO {role}"),
        3 => format!("COMMENT ON TABLE {table_name} IS {comment}"),
        4 | 5 => match m.pick_column(&table) {
            Some(column) if m.one_in(2) => {
                format!(
                    "COMMENT ON COLUMN {table_name}.{} IS {comment}",
                    column.name
                )
            }
            Some(column) => format!("GRANT UPDATE ({}) ON {table_name} TO {role}", column.name),
            None => return,
        },
        6 => {
            let schema = m.rng.choice(&m.schemas).unwrap().clone();
            format!("GRANT USAGE ON SCHEMA {schema} TO {role}, PUBLIC")
        }
        7 => {
            let schema = m.rng.choice(&m.schemas).unwrap().clone();
            format!("COMMENT ON SCHEMA {schema} IS {comment}")
        }
        8 => {
            let function = m.rng.choice(&m.trigger_functions).unwrap().clone();
            format!("REVOKE EXECUTE ON FUNCTION {function}() FROM PUBLIC")
        }
        _ => match m.rng.choice(&m.views).cloned() {
            Some(view) => format!("GRANT SELECT ON {view} TO {role}"),
            None => return,
        },
    };
    m.add(statement);
}

/// Of the database, whose name is not known here.
fn settings(m: &mut Maker) {
    let role = role(m);
    let all = [
        "ALTER DATABASE %I SET search_path TO public, \"Mixed, Case\"".to_owned(),
        "ALTER DATABASE %I SET statement_timeout TO ''90s''".to_owned(),
        "ALTER DATABASE %I SET DateStyle TO ''German, DMY''".to_owned(),
        "ALTER DATABASE %I SET default_transaction_read_only TO on".to_owned(),
        "ALTER DATABASE %I SET default_transaction_isolation TO serializable".to_owned(),
        "ALTER DATABASE %I SET timezone TO ''Asia/Kathmandu''".to_owned(),
        "ALTER DATABASE %I SET standard_conforming_strings TO off".to_owned(),
        "ALTER DATABASE %I SET extra_float_digits TO -15".to_owned(),
        "ALTER DATABASE %I SET bytea_output TO escape".to_owned(),
        "ALTER DATABASE %I SET row_security TO off".to_owned(),
        "ALTER DATABASE %I SET my.setting TO ''it is odd; \\''".to_owned(),
        "ALTER DATABASE %I OWNER TO rnd_owner".to_owned(),
        format!("ALTER ROLE {role} IN DATABASE %I SET work_mem TO ''9MB''"),
        format!("GRANT CONNECT ON DATABASE %I TO {role} WITH GRANT OPTION"),
        "REVOKE CONNECT ON DATABASE %I FROM PUBLIC".to_owned(),
    ];
    for statement in all {
        if m.one_in(4) {
            m.add(format!(
                "DO $do$ BEGIN EXECUTE format('{statement}', current_database()); END $do$"
            ));
        }
    }
}
