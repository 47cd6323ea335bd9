-- Tables, views, materialized views, foreign tables.
SELECT r.class, r.name, f.facet, f.value
FROM (
    SELECT c.*, format('%I.%I', n.nspname, c.relname) AS name,
        CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
            WHEN 'f' THEN 'foreign table' ELSE 'table' END AS class
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND {{user_schema|n}}
        AND {{not_extension|pg_class|c.oid}}
) r
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(r.relowner)::text),
    ('grants', {{grants|r.relacl|r.relowner|r}}),
    ('kind', CASE r.relkind WHEN 'r' THEN 'ordinary' WHEN 'p' THEN 'partitioned' END),
    ('persistence', CASE r.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'permanent' END),
    ('row security', CASE WHEN r.relkind IN ('r', 'p') THEN
        concat_ws(' and ', CASE WHEN r.relrowsecurity THEN 'enabled' ELSE 'disabled' END,
            CASE WHEN r.relforcerowsecurity THEN 'forced' END) END),
    ('replica identity', CASE r.relreplident WHEN 'n' THEN 'nothing' WHEN 'f' THEN 'full'
        WHEN 'i' THEN (SELECT 'index ' || quote_ident(i.relname) FROM pg_index x
            JOIN pg_class i ON i.oid = x.indexrelid
            WHERE x.indrelid = r.oid AND x.indisreplident) ELSE 'default' END),
    ('clustered on', (SELECT quote_ident(i.relname) FROM pg_index x
        JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = r.oid AND x.indisclustered)),
    ('options', array_to_string(ARRAY(SELECT o FROM unnest(r.reloptions) o ORDER BY 1), ', ')),
    ('toast options', (SELECT array_to_string(ARRAY(SELECT o FROM unnest(t.reloptions) o
        ORDER BY 1), ', ') FROM pg_class t WHERE t.oid = r.reltoastrelid)),
    ('access method', CASE WHEN r.relkind IN ('r', 'm') THEN
        (SELECT a.amname::text FROM pg_am a WHERE a.oid = r.relam) END),
    ('of type', CASE WHEN r.reloftype <> 0 THEN format_type(r.reloftype, NULL) END),
    ('partition key', CASE WHEN r.relkind = 'p' THEN pg_get_partkeydef(r.oid) END),
    ('partition bound', CASE WHEN r.relispartition THEN pg_get_expr(r.relpartbound, r.oid) END),
    ('inherits', (SELECT string_agg(h.inhparent::regclass::text, ', ' ORDER BY h.inhseqno)
        FROM pg_inherits h WHERE h.inhrelid = r.oid)),
    ('column order', CASE WHEN r.relkind IN ('r', 'p', 'f') AND (r.relispartition OR NOT EXISTS
        (SELECT FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attinhcount > 0)) THEN
        (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped) END),
    ('definition', CASE WHEN r.relkind IN ('v', 'm') THEN pg_get_viewdef(r.oid) END),
    ('populated', CASE WHEN r.relkind = 'm' THEN r.relispopulated::text END),
    ('server', (SELECT quote_ident(s.srvname) FROM pg_foreign_table t
        JOIN pg_foreign_server s ON s.oid = t.ftserver WHERE t.ftrelid = r.oid)),
    ('foreign options', (SELECT {{options|t.ftoptions}} FROM pg_foreign_table t
        WHERE t.ftrelid = r.oid))
) f (facet, value)
WHERE f.value <> ''
