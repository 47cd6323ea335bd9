//! What few databases have, and what `pg_dump` treats in a way of its own.

use super::{names::literal, schema::Maker};

/// Before anything else is made.
pub fn first(m: &mut Maker) {
    if m.one_in(12) {
        m.add("DROP EXTENSION plpgsql");
    }
    if m.one_in(8) {
        m.add("REVOKE ALL ON SCHEMA public FROM PUBLIC");
    }
    if m.one_in(8) {
        m.add("ALTER SCHEMA public OWNER TO rnd_owner");
    }
    if m.one_in(10) && m.schemas.len() > 1 {
        m.add("DROP SCHEMA public");
        m.schemas.remove(0);
    }
}

/// After tables and views.
pub fn all(m: &mut Maker) {
    let makers: [fn(&mut Maker); 14] = [
        invalid_index,
        index_on_parent_only,
        attached_partition,
        row_types,
        cast_of_a_composite,
        shared_sequence,
        table_options,
        replica_identity,
        disabled_constraints,
        odd_functions,
        operator_class,
        access_method,
        instead_of_trigger,
        many_columns,
    ];
    for make in makers {
        if m.one_in(4) {
            make(m);
        }
    }
    if m.one_in(3) {
        comments(m);
    }
}

/// A dump leaves it out.
fn invalid_index(m: &mut Maker) {
    let (table, index) = (m.qualified(), m.name());
    m.add(format!("CREATE TABLE {table} (a integer)"));
    m.add(format!("INSERT INTO {table} VALUES (1), (1)"));
    m.add(format!(
        "CREATE UNIQUE INDEX CONCURRENTLY {index} ON {table} (a)"
    ));
}

fn index_on_parent_only(m: &mut Maker) {
    let (table, part, index) = (m.qualified(), m.qualified(), m.name());
    m.add(format!(
        "CREATE TABLE {table} (a integer, b text) PARTITION BY LIST (a)"
    ));
    m.add(format!("CREATE TABLE {part} PARTITION OF {table} DEFAULT"));
    m.add(format!("CREATE INDEX {index} ON ONLY {table} (b)"));
    m.add(format!("INSERT INTO {table} VALUES (1, 'x'), (NULL, NULL)"));
}

/// With its columns in another order, and one that was dropped.
fn attached_partition(m: &mut Maker) {
    let (table, part, constraint) = (m.qualified(), m.qualified(), m.name());
    m.add(format!(
        "CREATE TABLE {table} (a integer NOT NULL, b text DEFAULT 'p', CONSTRAINT {constraint} CHECK (b <> 'no')) \
         PARTITION BY RANGE (a)"
    ));
    m.add(format!(
        "CREATE TABLE {part} (gone integer, b text DEFAULT 'own', a integer NOT NULL)"
    ));
    m.add(format!(
        "ALTER TABLE {part} DROP COLUMN gone, ADD CONSTRAINT {constraint} CHECK (b <> 'no')"
    ));
    m.add(format!(
        "ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES FROM (0) TO (100)"
    ));
    m.add(format!("INSERT INTO {table} VALUES (1, 'x'), (2, NULL)"));
    let trigger = m.name();
    let function = m.rng.choice(&m.trigger_functions).unwrap().clone();
    m.add(format!(
        "CREATE TRIGGER {trigger} AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()"
    ));
    if m.one_in(2) {
        m.add(format!("ALTER TABLE {part} DISABLE TRIGGER {trigger}"));
    }
}

/// A table's rows as values, also in arrays and domains.
fn row_types(m: &mut Maker) {
    let (inner, domain, outer) = (m.qualified(), m.qualified(), m.qualified());
    m.add(format!("CREATE TYPE {inner} AS (a integer, b text)"));
    m.add(format!(
        "CREATE DOMAIN {domain} AS {inner} CHECK ((VALUE).a > 0)"
    ));
    m.add(format!(
        "CREATE TABLE {outer} (one {inner}, many {inner}[], checked {domain}, nested integer[][])"
    ));
    m.add(format!(
        "INSERT INTO {outer} VALUES ('(1,x)', ARRAY[ROW(1, 'y'), NULL]::{inner}[], '(5,\"\")', '{{{{1,2}},{{3,4}}}}'), (NULL, '{{}}', NULL, NULL)"
    ));
    let of_rows = m.qualified();
    m.add(format!(
        "CREATE TABLE {of_rows} (row_of_it {outer}, rows_of_it {outer}[])"
    ));
    m.add(format!(
        "INSERT INTO {of_rows} SELECT o, ARRAY[o, o] FROM {outer} o"
    ));
}

fn cast_of_a_composite(m: &mut Maker) {
    let (kind, function, table) = (m.qualified(), m.qualified(), m.qualified());
    m.add(format!("CREATE TYPE {kind} AS (a text, b text)"));
    m.add(format!(
        "CREATE FUNCTION {function}({kind}) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ($1).a'"
    ));
    m.add(format!(
        "CREATE CAST ({kind} AS text) WITH FUNCTION {function}({kind}) AS ASSIGNMENT"
    ));
    m.add(format!("CREATE TABLE {table} (v {kind})"));
    m.add(format!("INSERT INTO {table} VALUES ('(x,y)'), (NULL)"));
}

fn shared_sequence(m: &mut Maker) {
    let (sequence, one, two) = (m.qualified(), m.qualified(), m.qualified());
    m.add(format!(
        "CREATE SEQUENCE {sequence} AS integer MAXVALUE 1000"
    ));
    let default = format!("nextval({})", literal(&sequence));
    m.add(format!("CREATE TABLE {one} (id integer DEFAULT {default})"));
    m.add(format!(
        "CREATE TABLE {two} (id integer DEFAULT {default}, v text)"
    ));
    m.add(format!("ALTER SEQUENCE {sequence} OWNED BY {one}.id"));
    m.add(format!("INSERT INTO {one} DEFAULT VALUES"));
    m.add(format!("INSERT INTO {two} VALUES (DEFAULT, 'x')"));
}

fn table_options(m: &mut Maker) {
    let table = m.pick_table();
    m.add(format!(
        "ALTER TABLE {} SET (autovacuum_enabled = off, toast.autovacuum_vacuum_threshold = 77)",
        table.name
    ));
    if let Some(column) = m.pick_column(&table) {
        let name = &column.name;
        for change in [
            "SET STATISTICS 77",
            "SET STORAGE MAIN",
            "SET (n_distinct = -0.5)",
            "SET COMPRESSION pglz",
        ] {
            m.add(format!("ALTER TABLE {} ALTER {name} {change}", table.name));
        }
    }
    m.add(format!("ALTER TABLE {} SET WITHOUT CLUSTER", table.name));
}

fn replica_identity(m: &mut Maker) {
    let (table, index) = (m.qualified(), m.name());
    m.add(format!("CREATE TABLE {table} (a integer NOT NULL, b text)"));
    m.add(format!(
        "CREATE UNIQUE INDEX {index} ON {table} (a) NULLS NOT DISTINCT"
    ));
    m.add(format!(
        "ALTER TABLE {table} REPLICA IDENTITY USING INDEX {index}"
    ));
    let other = m.pick_table();
    m.add(format!("ALTER TABLE {} REPLICA IDENTITY FULL", other.name));
}

fn disabled_constraints(m: &mut Maker) {
    let (parent, child, constraint) = (m.qualified(), m.qualified(), m.name());
    m.add(format!("CREATE TABLE {parent} (a integer PRIMARY KEY)"));
    m.add(format!(
        "CREATE TABLE {child} (a integer REFERENCES {parent} DEFERRABLE, b integer UNIQUE DEFERRABLE)"
    ));
    m.add(format!("INSERT INTO {parent} VALUES (1)"));
    m.add(format!("INSERT INTO {child} VALUES (1, 1), (NULL, NULL)"));
    m.add(format!("ALTER TABLE {child} DISABLE TRIGGER ALL"));
    m.add(format!(
        "ALTER TABLE {child} ADD CONSTRAINT {constraint} CHECK (b < 0) NOT VALID"
    ));
}

fn odd_functions(m: &mut Maker) {
    let name = m.qualified();
    m.add(format!(
        "CREATE FUNCTION {name}(anyelement) RETURNS anyarray LANGUAGE sql AS 'SELECT ARRAY[$1]'"
    ));
    m.add(format!(
        "CREATE FUNCTION {name}(a integer, b integer DEFAULT 7, VARIADIC c text[] DEFAULT '{{}}') RETURNS TABLE (x integer, \"Y z\" text) \
         LANGUAGE sql STABLE LEAKPROOF PARALLEL RESTRICTED COST 33 ROWS 44 SET \"my.setting\" = 'it''s' SET work_mem = '9MB' \
         AS $x$ SELECT a + b, c[1] $x$"
    ));
    m.add(format!(
        "CREATE FUNCTION {name}(internal) RETURNS internal LANGUAGE internal AS 'textlike_support'"
    ));
}

fn operator_class(m: &mut Maker) {
    let (class, table, index) = (m.qualified(), m.qualified(), m.name());
    m.add(format!(
        "CREATE OPERATOR CLASS {class} FOR TYPE integer USING btree AS OPERATOR 1 >, OPERATOR 2 >=, OPERATOR 3 =, \
         OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 btint4cmp(integer, integer)"
    ));
    m.add(format!("CREATE TABLE {table} (a text)"));
    m.add(format!("CREATE INDEX {index} ON {table} USING gist (to_tsvector('simple', a) tsvector_ops (siglen = 100)) WITH (fillfactor = 50)"));
    m.add(format!("INSERT INTO {table} VALUES ('a b'), ('c')"));
}

fn access_method(m: &mut Maker) {
    let (method, table) = (m.name(), m.qualified());
    m.add(format!(
        "CREATE ACCESS METHOD {method} TYPE TABLE HANDLER heap_tableam_handler"
    ));
    m.add(format!(
        "CREATE TABLE {table} (a integer, b text) USING {method}"
    ));
    m.add(format!(
        "INSERT INTO {table} SELECT i, 'v' || i FROM generate_series(1, 50) i"
    ));
}

fn instead_of_trigger(m: &mut Maker) {
    let (view, trigger) = (m.qualified(), m.name());
    let function = m.rng.choice(&m.trigger_functions).unwrap().clone();
    m.add(format!(
        "CREATE VIEW {view} AS SELECT 1 AS a, 'x'::text AS b"
    ));
    m.add(format!(
        "CREATE TRIGGER {trigger} INSTEAD OF INSERT ON {view} FOR EACH ROW EXECUTE FUNCTION {function}()"
    ));
    m.add(format!("ALTER VIEW {view} ALTER a SET DEFAULT 5"));
    m.add(format!("COMMENT ON COLUMN {view}.a IS 'of a view'"));
}

fn many_columns(m: &mut Maker) {
    let table = m.qualified();
    let columns: Vec<_> = (0..300)
        .map(|number| format!("c{number} integer"))
        .collect();
    m.add(format!("CREATE TABLE {table} ({})", columns.join(", ")));
    m.add(format!(
        "INSERT INTO {table} (c0, c299) VALUES (1, 2), (NULL, 3)"
    ));
}

/// On a third of everything that can have one.
fn comments(m: &mut Maker) {
    m.add(
        "DO $do$ DECLARE o record; BEGIN
         FOR o IN SELECT i.type, i.identity FROM (
            SELECT 'pg_class'::regclass AS class, oid FROM pg_class UNION ALL
            SELECT 'pg_proc'::regclass, oid FROM pg_proc UNION ALL
            SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typtype IN ('e', 'd', 'r') UNION ALL
            SELECT 'pg_constraint'::regclass, oid FROM pg_constraint UNION ALL
            SELECT 'pg_trigger'::regclass, oid FROM pg_trigger WHERE NOT tgisinternal UNION ALL
            SELECT 'pg_policy'::regclass, oid FROM pg_policy UNION ALL
            SELECT 'pg_operator'::regclass, oid FROM pg_operator UNION ALL
            SELECT 'pg_opclass'::regclass, oid FROM pg_opclass UNION ALL
            SELECT 'pg_cast'::regclass, oid FROM pg_cast UNION ALL
            SELECT 'pg_collation'::regclass, oid FROM pg_collation UNION ALL
            SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config UNION ALL
            SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict UNION ALL
            SELECT 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext UNION ALL
            SELECT 'pg_publication'::regclass, oid FROM pg_publication UNION ALL
            SELECT 'pg_event_trigger'::regclass, oid FROM pg_event_trigger UNION ALL
            SELECT 'pg_foreign_server'::regclass, oid FROM pg_foreign_server UNION ALL
            SELECT 'pg_am'::regclass, oid FROM pg_am UNION ALL
            SELECT 'pg_largeobject'::regclass, oid FROM pg_largeobject_metadata) x
            CROSS JOIN LATERAL pg_identify_object(x.class, x.oid, 0) i
            WHERE x.oid >= 16384 AND hashoid(x.oid) % 3 = 0 AND NOT EXISTS (SELECT FROM pg_depend d
                WHERE d.classid = x.class AND d.objid = x.oid AND d.deptype IN ('e', 'i'))
         LOOP BEGIN
            EXECUTE format('COMMENT ON %s %s IS %L', CASE o.type WHEN 'table constraint' THEN 'constraint'
                WHEN 'domain constraint' THEN 'constraint' WHEN 'statistics object' THEN 'statistics'
                ELSE o.type END, o.identity, E'of ' || o.type || E'\\n; it''s \\\\');
         EXCEPTION WHEN OTHERS THEN NULL; END; END LOOP; END $do$",
    );
}
