//! What is made of and around tables.

use super::{
    names::literal,
    schema::{Maker, Table},
};

pub fn extensions(m: &mut Maker) {
    for name in [
        "hstore",
        "citext",
        "pg_trgm",
        "btree_gist",
        "\"uuid-ossp\"",
        "intarray",
    ] {
        if m.one_in(5) {
            let schema = m.rng.choice(&m.schemas).unwrap().clone();
            m.add(format!("CREATE EXTENSION {name} SCHEMA {schema}"));
        }
    }
}

pub fn functions(m: &mut Maker) {
    for _ in 0..m.rng.usize(1..4) {
        let name = m.qualified();
        let body = match m.rng.usize(..5) {
            0 => {
                "(a integer, b text DEFAULT 'it''s') RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $f$ SELECT b || a $f$"
            }
            1 => {
                "(VARIADIC a integer[]) RETURNS bigint LANGUAGE plpgsql STABLE COST 5 AS $f$ BEGIN RETURN cardinality(a); -- ;\nEND $f$"
            }
            2 => "(a integer, OUT b integer, OUT c text) LANGUAGE sql AS $f$ SELECT a, 'c' $f$",
            3 => {
                "(a integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a > 0 THEN 1 ELSE 2 END; END"
            }
            _ => {
                "() RETURNS SETOF integer LANGUAGE sql SECURITY DEFINER SET search_path = '' AS $$ SELECT 1 $$"
            }
        };
        m.add(format!("CREATE FUNCTION {name}{body}"));
    }
    let name = m.qualified();
    m.add(format!(
        "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END $f$"
    ));
    m.trigger_functions.push(name);
    if m.one_in(3) {
        let name = m.qualified();
        m.add(format!(
            "CREATE PROCEDURE {name}(INOUT a integer) LANGUAGE sql AS 'SELECT a'"
        ));
    }
    if m.one_in(4) {
        let name = m.qualified();
        m.add(format!(
            "CREATE AGGREGATE {name}(integer) (sfunc = int4pl, stype = integer, initcond = '0')"
        ));
    }
    if m.one_in(4) {
        let (function, schema) = (m.qualified(), m.rng.choice(&m.schemas).unwrap().clone());
        m.add(format!(
            "CREATE FUNCTION {function}(integer, integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2'"
        ));
        m.add(format!(
            "CREATE OPERATOR {schema}.=#= (function = {function}, leftarg = integer, rightarg = integer, commutator = OPERATOR({schema}.=#=))"
        ));
    }
}

pub fn foreign_keys(m: &mut Maker) {
    for _ in 0..m.rng.usize(..3) {
        let parent = m.pick_table();
        let Some((key, kind)) = &parent.key else {
            continue;
        };
        let child = m.pick_table();
        let (column, constraint) = (m.name(), m.name());
        m.add(format!(
            "ALTER TABLE {} ADD COLUMN {column} {kind}",
            child.name
        ));
        m.add(format!(
            "UPDATE {} SET {column} = (SELECT max({key}) FROM {})",
            child.name, parent.name
        ));
        let options = [
            "",
            " ON DELETE CASCADE",
            " ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED",
            " NOT VALID",
        ];
        let options = m.rng.choice(options).unwrap();
        m.add(format!(
            "ALTER TABLE {} ADD CONSTRAINT {constraint} FOREIGN KEY ({column}) REFERENCES {} ({key}){options}",
            child.name, parent.name
        ));
    }
}

pub fn indexes(m: &mut Maker) {
    for _ in 0..m.rng.usize(1..7) {
        let table = m.pick_table();
        let (Some(one), Some(two)) = (m.pick_column(&table), m.pick_column(&table)) else {
            continue;
        };
        let (one, two, name) = (one.name, two.name, m.name());
        let what = match m.rng.usize(..9) {
            0 => format!("({one}, {two} DESC NULLS LAST)"),
            1 => format!("(({one}::text) COLLATE \"C\")"),
            2 => format!("({one}) WHERE {two} IS NOT NULL"),
            3 => format!("({one}) INCLUDE ({two})"),
            4 => format!("USING hash ({one})"),
            5 => format!("USING gin ({one})"),
            6 => format!("USING gist ({one})"),
            7 => format!("USING brin ({one})"),
            _ => format!("USING spgist ({one})"),
        };
        let unique = if m.one_in(6) { "UNIQUE " } else { "" };
        m.add(format!(
            "CREATE {unique}INDEX {name} ON {} {what}",
            table.name
        ));
        if m.one_in(5) {
            let constraint = m.name();
            m.add(format!(
                "ALTER TABLE {} ADD CONSTRAINT {constraint} UNIQUE ({one})",
                table.name
            ));
        }
        if m.one_in(6) {
            m.add(format!("ALTER TABLE {} CLUSTER ON {name}", table.name));
        }
    }
    if m.one_in(2) {
        let table = m.pick_table();
        if let (Some(one), Some(two)) = (m.pick_column(&table), m.pick_column(&table)) {
            let name = m.qualified();
            m.add(format!(
                "CREATE STATISTICS {name} ON {}, {} FROM {}",
                one.name, two.name, table.name
            ));
        }
    }
}

pub fn sequences(m: &mut Maker) {
    for _ in 0..m.rng.usize(..3) {
        let name = m.qualified();
        let options = [
            "",
            " AS smallint CYCLE",
            " INCREMENT -3 START -5",
            " MINVALUE -10 START 0 CACHE 7",
        ];
        let options = m.rng.choice(options).unwrap();
        m.add(format!("CREATE SEQUENCE {name}{options}"));
        for _ in 0..m.rng.usize(..4) {
            m.add(format!("SELECT nextval({})", literal(&name)));
        }
        if m.one_in(4) {
            m.add(format!("SELECT setval({}, 77, false)", literal(&name)));
        }
    }
}

pub fn views(m: &mut Maker) {
    for _ in 0..m.rng.usize(1..4) {
        let (name, table) = (m.qualified(), m.pick_table());
        let columns: Vec<_> = table.columns.iter().map(|c| c.name.clone()).collect();
        let from = match m.rng.choice(&m.views).filter(|_| columns.is_empty()) {
            Some(view) => format!("SELECT * FROM {view}"),
            None if columns.is_empty() => format!("SELECT count(*) AS n FROM {}", table.name),
            None => format!("SELECT {} FROM {}", columns.join(", "), table.name),
        };
        let statement = match m.rng.usize(..6) {
            0 => format!("CREATE MATERIALIZED VIEW {name} AS {from}"),
            1 => format!("CREATE MATERIALIZED VIEW {name} AS {from} WITH NO DATA"),
            2 => format!("CREATE VIEW {name} WITH (security_barrier) AS {from} LIMIT 3"),
            3 => format!(
                "CREATE VIEW {name} AS WITH RECURSIVE r(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n, 'it''s; \\ ' || n AS \"odd \"\"column\" FROM r"
            ),
            4 => format!("CREATE VIEW {name} AS {from} WITH LOCAL CHECK OPTION"),
            _ => format!("CREATE VIEW {name} AS {from}"),
        };
        m.add(statement);
        m.views.push(name);
    }
}

pub fn triggers(m: &mut Maker) {
    for _ in 0..m.rng.usize(..3) {
        let (table, name) = (m.pick_table(), m.name());
        let function = m.rng.choice(&m.trigger_functions).unwrap().clone();
        let when = match m.rng.usize(..4) {
            0 => "BEFORE INSERT OR UPDATE ON {} FOR EACH ROW",
            1 => "AFTER DELETE ON {} REFERENCING OLD TABLE AS gone FOR EACH STATEMENT",
            2 => "BEFORE UPDATE ON {} FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*)",
            _ => "AFTER INSERT ON {} FOR EACH STATEMENT",
        };
        m.add(format!(
            "CREATE TRIGGER {name} {} EXECUTE FUNCTION {function}('it''s', 'b')",
            when.replace("{}", &table.name)
        ));
        if m.one_in(3) {
            let how = m
                .rng
                .choice(["DISABLE", "ENABLE REPLICA", "ENABLE ALWAYS"])
                .unwrap();
            m.add(format!("ALTER TABLE {} {how} TRIGGER {name}", table.name));
        }
    }
    if m.one_in(4) {
        let (table, name) = (m.pick_table(), m.name());
        m.add(format!(
            "CREATE RULE {name} AS ON DELETE TO {} DO ALSO NOTHING",
            table.name
        ));
    }
}

pub fn others(m: &mut Maker) {
    if m.one_in(3) {
        large_objects(m);
    }
    if m.one_in(4) {
        let (name, table) = (m.name(), m.pick_table());
        m.add(format!(
            "CREATE PUBLICATION {name} FOR TABLE {} WITH (publish = 'insert')",
            table.name
        ));
    }
    if m.one_in(6) {
        let (function, name) = (m.qualified(), m.name());
        m.add(format!(
            "CREATE FUNCTION {function}() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN END $f$"
        ));
        m.add(format!(
            "CREATE EVENT TRIGGER {name} ON ddl_command_end EXECUTE FUNCTION {function}()"
        ));
    }
    if m.one_in(5) {
        let (wrapper, server, table) = (m.name(), m.name(), m.qualified());
        m.add(format!("CREATE FOREIGN DATA WRAPPER {wrapper}"));
        m.add(format!(
            "CREATE SERVER {server} FOREIGN DATA WRAPPER {wrapper} OPTIONS (host 'h')"
        ));
        m.add(format!(
            "CREATE USER MAPPING FOR \"rnd reader\" SERVER {server}"
        ));
        m.add(format!(
            "CREATE FOREIGN TABLE {table} (a integer) SERVER {server}"
        ));
    }
    if m.one_in(5) {
        let (words, plain) = (m.qualified(), m.qualified());
        m.add(format!(
            "CREATE TEXT SEARCH DICTIONARY {plain} (template = simple)"
        ));
        m.add(format!(
            "CREATE TEXT SEARCH CONFIGURATION {words} (COPY = simple)"
        ));
        m.add(format!(
            "ALTER TEXT SEARCH CONFIGURATION {words} ALTER MAPPING FOR word WITH {plain}"
        ));
    }
    if m.one_in(5) {
        let name = m.qualified();
        m.add(format!(
            "CREATE COLLATION {name} (provider = icu, locale = 'und', deterministic = false)"
        ));
    }
    policies(m);
}

fn large_objects(m: &mut Maker) {
    for number in 0..m.rng.u32(1..4) {
        let oid = 900_000 + number;
        let size = m.rng.usize(..4000);
        m.add(format!(
            "SELECT lo_from_bytea({oid}, decode(repeat(md5('{oid}'), {size}), 'hex'))"
        ));
        m.add(format!(
            "GRANT SELECT ON LARGE OBJECT {oid} TO \"rnd reader\""
        ));
    }
}

fn policies(m: &mut Maker) {
    if !m.one_in(3) {
        return;
    }
    let (table, name): (Table, String) = (m.pick_table(), m.name());
    m.add(format!(
        "ALTER TABLE {} ENABLE ROW LEVEL SECURITY",
        table.name
    ));
    if m.one_in(2) {
        m.add(format!(
            "ALTER TABLE {} FORCE ROW LEVEL SECURITY",
            table.name
        ));
    }
    m.add(format!(
        "CREATE POLICY {name} ON {} AS RESTRICTIVE FOR SELECT TO \"rnd reader\", rnd_group USING (current_user = 'x')",
        table.name
    ));
}
