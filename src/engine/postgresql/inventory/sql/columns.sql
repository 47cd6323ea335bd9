-- Columns of everything that has rows.
SELECT 'column', format('%I.%I.%I', n.nspname, c.relname, a.attname), f.facet, f.value
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
CROSS JOIN LATERAL (VALUES
    ('of', format('%I.%I', n.nspname, c.relname)),
    ('type', format_type(a.atttypid, a.atttypmod)),
    ('not null', CASE WHEN a.attnotnull THEN 'true' END),
    ('default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END),
    ('generated', CASE a.attgenerated WHEN 's' THEN 'stored ' || pg_get_expr(d.adbin, d.adrelid)
        WHEN 'v' THEN 'virtual ' || pg_get_expr(d.adbin, d.adrelid) END),
    ('identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END),
    ('collation', CASE WHEN a.attcollation <> t.typcollation THEN
        (SELECT format('%I.%I', o.nspname, l.collname) FROM pg_collation l
        JOIN pg_namespace o ON o.oid = l.collnamespace WHERE l.oid = a.attcollation) END),
    ('storage', CASE WHEN a.attstorage <> t.typstorage THEN CASE a.attstorage WHEN 'p' THEN 'plain'
        WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END END),
    -- A child takes over what its parent has when it is made, also in a restore;
    -- for the parent it may have been set later.
    ('compression', CASE WHEN a.attinhcount = 0 OR c.relispartition THEN
        CASE {{since|140000|a.attcompression::text|''}} WHEN 'p' THEN 'pglz'
        WHEN 'l' THEN 'lz4' END END),
    ('statistics target', nullif(a.attstattarget, -1)::text),
    -- Newer servers keep a stamp of their own among the options; pg_dump leaves it out, too.
    ('options', array_to_string(ARRAY(SELECT o FROM unnest(a.attoptions) o
        WHERE left(o, 10) <> 'pg_attver=' ORDER BY 1), ', ')),
    ('foreign options', {{options|a.attfdwoptions}}),
    ('grants', CASE WHEN a.attacl IS NOT NULL THEN {{grants|a.attacl|c.relowner|c}} END)
) f (facet, value)
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
    AND {{user_schema|n}} AND {{not_extension|pg_class|c.oid}} AND f.value <> ''
