-- What surrounds the schema: the database's own properties under a name that
-- does not depend on the database's, roles, and versions of collations in use.
SELECT 'database', 'the database', f.facet, f.value
FROM pg_database d
CROSS JOIN LATERAL (SELECT to_jsonb(d)) j (row)
CROSS JOIN LATERAL (VALUES
    ('encoding', pg_encoding_to_char(d.encoding)::text),
    ('collate', d.datcollate::text),
    ('ctype', d.datctype::text),
    ('locale provider', CASE coalesce(j.row ->> 'datlocprovider', 'c') WHEN 'c' THEN 'libc'
        WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' END),
    ('locale', coalesce(j.row ->> 'datlocale', j.row ->> 'daticulocale')),
    ('locale rules', j.row ->> 'daticurules'),
    ('collation version', j.row ->> 'datcollversion'),
    ('library version', {{since|150000|pg_database_collation_actual_version(d.oid)|NULL}}),
    ('owner', pg_get_userbyid(d.datdba)::text),
    ('grants', {{grants|d.datacl|d.datdba|d}}),
    ('connection limit', nullif(d.datconnlimit, -1)::text),
    ('comment', shobj_description(d.oid, 'pg_database'))
) f (facet, value)
WHERE d.datname = current_database() AND f.value IS NOT NULL
UNION ALL
SELECT CASE s.setrole WHEN 0 THEN 'database' ELSE 'role' END,
    CASE s.setrole WHEN 0 THEN 'the database' ELSE quote_ident(pg_get_userbyid(s.setrole)) END,
    concat('setting ', split_part(c.setting, '=', 1),
        CASE WHEN s.setrole <> 0 AND s.setdatabase <> 0 THEN ' in the database' END),
    substr(c.setting, strpos(c.setting, '=') + 1)
FROM pg_db_role_setting s
CROSS JOIN LATERAL unnest(s.setconfig) c (setting)
WHERE (s.setrole = 0 OR pg_get_userbyid(s.setrole) !~ '^pg_') AND s.setdatabase IN (0,
    (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
UNION ALL
SELECT 'role', quote_ident(r.rolname), f.facet, f.value
FROM pg_roles r
CROSS JOIN LATERAL (VALUES
    ('attributes', concat_ws(', ', CASE WHEN r.rolsuper THEN 'superuser' END,
        CASE WHEN r.rolcanlogin THEN 'login' ELSE 'nologin' END,
        CASE WHEN NOT r.rolinherit THEN 'noinherit' END,
        CASE WHEN r.rolcreaterole THEN 'createrole' END,
        CASE WHEN r.rolcreatedb THEN 'createdb' END,
        CASE WHEN r.rolreplication THEN 'replication' END,
        CASE WHEN r.rolbypassrls THEN 'bypassrls' END)),
    ('connection limit', nullif(r.rolconnlimit, -1)::text),
    ('valid until', r.rolvaliduntil::text),
    -- From 16 on several grantors may have given the same membership.
    ('member of', (SELECT string_agg(g.name || CASE WHEN g.admin THEN ' (admin)' ELSE '' END, ', '
        ORDER BY g.name) FROM (SELECT quote_ident(pg_get_userbyid(m.roleid)) AS name,
        bool_or(m.admin_option) AS admin FROM pg_auth_members m WHERE m.member = r.oid
        GROUP BY 1) g)),
    ('comment', shobj_description(r.oid, 'pg_authid')),
    -- Whether objects of this database need it.
    ('used', (EXISTS (SELECT FROM pg_shdepend s
            WHERE s.refclassid = 'pg_authid'::regclass AND s.refobjid = r.oid AND s.dbid =
            (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
        OR (r.oid < 16384 AND EXISTS (SELECT FROM pg_class c
            WHERE c.relowner = r.oid AND c.oid >= 16384)))::text)
) f (facet, value)
WHERE r.rolname !~ '^pg_' AND f.value IS NOT NULL
UNION ALL
-- The version that indexes were built with, and that of the library in use.
SELECT 'collation version', format('%I.%I', n.nspname, k.collname), f.facet, f.value
FROM pg_collation k JOIN pg_namespace n ON n.oid = k.collnamespace
CROSS JOIN LATERAL (VALUES
    ('version', k.collversion),
    ('library version', pg_collation_actual_version(k.oid))
) f (facet, value)
WHERE f.value IS NOT NULL AND k.collversion IS NOT NULL AND (k.oid >= 16384 AND n.nspname <> 'pg_catalog'
    OR k.oid IN (SELECT DISTINCT a.attcollation FROM pg_attribute a WHERE a.attrelid >= 16384))
