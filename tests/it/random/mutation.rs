//! One random change of a copy, and what it is a change of.

use fastrand::Rng;
use lifeboat::engine::postgresql::session::Session;

/// What was done, and the name that has to be told.
pub struct Mutation {
    pub sql: String,
    pub named: String,
}

/// Rows of statement and name, for everything that there is to change.
const CHANGES: &[&str] = &[
    // Rows, of tables that a rule or trigger does not guard.
    "SELECT format('DELETE FROM ONLY %1$s WHERE ctid = (SELECT max(ctid) FROM ONLY %1$s)', t.name), t.name FROM t WHERE t.full_up",
    "SELECT format('INSERT INTO %1$s (%2$s) SELECT %2$s FROM ONLY %1$s LIMIT 1', t.name, t.columns), t.name
     FROM t WHERE t.full_up AND t.columns <> ''",
    "SELECT format('UPDATE ONLY %1$s SET %2$I = NULL WHERE ctid = (SELECT max(ctid) FROM ONLY %1$s WHERE %2$I IS NOT NULL)',
        t.name, a.attname), t.name FROM t JOIN a ON a.attrelid = t.oid WHERE t.full_up AND NOT a.attnotnull",
    "SELECT format('UPDATE ONLY %1$s SET %2$I = %3$s WHERE ctid = (SELECT max(ctid) FROM ONLY %1$s WHERE %2$I IS NOT NULL)',
        t.name, a.attname, CASE WHEN a.kind IN ('int2', 'int4', 'int8') THEN format('%I # 1', a.attname)
        WHEN a.kind IN ('numeric') THEN format('CASE WHEN %1$I = 0 THEN 1 ELSE -%1$I END', a.attname)
        WHEN a.kind IN ('text', 'varchar', 'citext') THEN format('left(%1$I || ''~'', 20)', a.attname)
        WHEN a.kind = 'bool' THEN format('NOT %I', a.attname)
        WHEN a.kind = 'bytea' THEN format('%I || ''\\x00''', a.attname)
        WHEN a.kind = 'date' THEN format('CASE WHEN isfinite(%1$I) THEN date ''infinity'' ELSE ''2000-01-01'' END', a.attname)
        WHEN a.kind = 'uuid' THEN format('md5(%I::text)::uuid', a.attname)
        WHEN a.kind = 'jsonb' THEN format('jsonb_build_array(%I)', a.attname) END), t.name
     FROM t JOIN a ON a.attrelid = t.oid WHERE t.full_up AND a.kind IN ('int2', 'int4', 'int8', 'numeric', 'text',
        'varchar', 'citext', 'bool', 'bytea', 'date', 'uuid', 'jsonb')",
    "SELECT format('ALTER TABLE %s ADD COLUMN more_of_it integer', t.name), t.name FROM t
     WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = t.oid)",
    "SELECT format('ALTER TABLE %s DROP COLUMN %I CASCADE', t.name, a.attname), t.name FROM t JOIN a ON a.attrelid = t.oid
     WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = t.oid)",
    "SELECT format('ALTER TABLE %s ALTER %I DROP DEFAULT', t.name, a.attname), t.name FROM t
     JOIN a ON a.attrelid = t.oid JOIN pg_attrdef d ON d.adrelid = t.oid AND d.adnum = a.attnum",
    "SELECT format('DROP TABLE %s CASCADE', t.name), t.name FROM t",
    "SELECT format('DROP INDEX %s', c.name), c.name FROM c JOIN pg_index x ON x.indexrelid = c.oid
     WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid)",
    "SELECT format('UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s', c.oid), c.name
     FROM c JOIN pg_index x ON x.indexrelid = c.oid WHERE x.indisvalid",
    "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', c.name, k.conname), quote_ident(k.conname)
     FROM pg_constraint k JOIN c ON c.oid = k.conrelid WHERE k.contype IN ('c', 'f', 'p', 'u', 'x')
        AND k.conparentid = 0 AND k.coninhcount = 0",
    "SELECT format('DROP TRIGGER %I ON %s', t.tgname, c.name), quote_ident(t.tgname)
     FROM pg_trigger t JOIN c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal",
    "SELECT format('ALTER TABLE %s %s TRIGGER %I', c.name, CASE t.tgenabled WHEN 'D' THEN 'ENABLE' ELSE 'DISABLE' END,
        t.tgname), quote_ident(t.tgname) FROM pg_trigger t JOIN c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal",
    "SELECT format('DROP RULE %I ON %s', r.rulename, c.name), quote_ident(r.rulename)
     FROM pg_rewrite r JOIN c ON c.oid = r.ev_class WHERE r.rulename <> '_RETURN'",
    "SELECT format('DROP POLICY %I ON %s', p.polname, c.name), quote_ident(p.polname)
     FROM pg_policy p JOIN c ON c.oid = p.polrelid",
    "SELECT format('ALTER TABLE %s %s ROW LEVEL SECURITY', t.name, CASE WHEN t.relrowsecurity THEN 'DISABLE'
        ELSE 'ENABLE' END), t.name FROM t",
    "SELECT format('DROP VIEW %s CASCADE', c.name), c.name FROM c WHERE c.relkind = 'v'",
    "SELECT format('DROP MATERIALIZED VIEW %s CASCADE', c.name), c.name FROM c WHERE c.relkind = 'm'",
    "SELECT format('DROP %s %s CASCADE', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE'
        ELSE 'FUNCTION' END, p.oid::regprocedure), split_part(p.oid::regprocedure::text, '(', 1)
     FROM pg_proc p WHERE p.pronamespace IN (SELECT oid FROM n) AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.objid = p.oid AND d.deptype IN ('e', 'i'))",
    "SELECT format('DROP TYPE %s CASCADE', y.oid::regtype), y.oid::regtype::text FROM pg_type y
     WHERE y.typtype IN ('e', 'd', 'r') AND y.typnamespace IN (SELECT oid FROM n)
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = y.oid AND d.deptype IN ('e', 'i'))",
    "SELECT format('DELETE FROM pg_enum WHERE oid = %s', e.oid), y.oid::regtype::text FROM pg_enum e
     JOIN pg_type y ON y.oid = e.enumtypid",
    "SELECT format('SELECT setval(%L, CASE WHEN last_value = %s THEN %s ELSE %s END) FROM %s', c.name, s.seqmax, s.seqmin,
        s.seqmax, c.name), c.name FROM pg_sequence s JOIN c ON c.oid = s.seqrelid",
    "SELECT format('ALTER SEQUENCE %s CACHE 99', c.name), c.name FROM pg_sequence s JOIN c ON c.oid = s.seqrelid",
    "SELECT format('ALTER TABLE %s OWNER TO rnd_other', t.name), t.name FROM t",
    "SELECT format('GRANT DELETE ON %s TO rnd_other', t.name), t.name FROM t",
    "SELECT format('COMMENT ON TABLE %s IS ''another''', t.name), t.name FROM t",
    "SELECT format('REVOKE ALL ON %s FROM PUBLIC, %s', c.name, (SELECT string_agg(quote_ident(rolname), ', ')
        FROM pg_roles WHERE rolname LIKE 'rnd%')), c.name FROM c
     WHERE c.relacl IS NOT NULL AND c.relkind IN ('r', 'v', 'p') AND EXISTS (SELECT FROM aclexplode(c.relacl) e
        WHERE e.grantee <> c.relowner)",
    "SELECT 'SELECT lo_unlink(' || m.oid || ')', 'large objects' FROM pg_largeobject_metadata m",
    "SELECT 'SELECT lo_put(' || m.oid || ', 100000, ''x'')', 'large objects' FROM pg_largeobject_metadata m",
    "SELECT format('DROP PUBLICATION %I', p.pubname), quote_ident(p.pubname) FROM pg_publication p",
    "SELECT format('DROP EXTENSION %I CASCADE', e.extname), quote_ident(e.extname) FROM pg_extension e
     WHERE e.extname <> 'plpgsql'",
    "SELECT format('DROP STATISTICS %I.%I', n.nspname, s.stxname), quote_ident(s.stxname) FROM pg_statistic_ext s
     JOIN n ON n.oid = s.stxnamespace",
    "SELECT format('ALTER DATABASE %I SET cursor_tuple_fraction TO 0.5', current_database()), 'cursor_tuple_fraction'",
    "SELECT format('ALTER SCHEMA %I OWNER TO rnd_other', n.nspname), quote_ident(n.nspname) FROM n",
    "SELECT format('ALTER TABLE %s SET (fillfactor = 33)', t.name), t.name FROM t",
];

/// What the statements may speak of: schemas, relations, tables, columns.
const COMMON: &str = "
    WITH n AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_(catalog|toast|temp)'
            AND nspname <> 'information_schema'),
    c AS (SELECT c.*, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN n ON n.oid = c.relnamespace
        WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')),
    a AS (SELECT a.*, y.typname AS kind FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
        WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''),
    t AS (SELECT c.*, c.reltuples > 0 AND NOT EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid) AS full_up,
        (SELECT coalesce(string_agg(quote_ident(a.attname), ', '), '') FROM a WHERE a.attrelid = c.oid) AS columns
        FROM c WHERE c.relkind = 'r')
    ";

/// Does one change that is one.
pub async fn one(session: &Session, rng: &mut Rng) -> Mutation {
    session
        .batch("prepare", "SET session_replication_role = replica; ANALYZE")
        .await
        .unwrap();
    loop {
        let sql = format!("{COMMON} {}", rng.choice(CHANGES).unwrap());
        let rows = session.rows("list", &sql, &[]).await;
        let rows = rows.unwrap_or_else(|failure| panic!("{sql}: {failure}"));
        let Some(row) = rng.choice(&rows) else {
            continue;
        };
        let (sql, named): (String, String) = (row.get(0), row.get(1));
        let done = session.client().execute(&sql, &[]).await;
        // Refused, or of no row: another one.
        if done.is_ok_and(|rows| {
            rows > 0 || !sql.starts_with(['U', 'D', 'I']) || sql.starts_with("DROP")
        }) {
            return Mutation { sql, named };
        }
    }
}
