-- Sequences without their values, which are data.
SELECT 'sequence', format('%I.%I', n.nspname, c.relname), f.facet, f.value
FROM pg_sequence s
JOIN pg_class c ON c.oid = s.seqrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
    AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
LEFT JOIN pg_class o ON o.oid = d.refobjid
LEFT JOIN pg_namespace m ON m.oid = o.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum = d.refobjsubid
CROSS JOIN LATERAL (VALUES
    ('of', CASE WHEN o.oid IS NOT NULL THEN format('%I.%I', m.nspname, o.relname) END),
    ('owner', pg_get_userbyid(c.relowner)::text),
    ('grants', {{grants|c.relacl|c.relowner|s}}),
    ('persistence', CASE c.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'permanent' END),
    ('type', format_type(s.seqtypid, NULL)),
    ('parameters', format('start %s, increment %s, minimum %s, maximum %s, cache %s%s',
        s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache,
        CASE WHEN s.seqcycle THEN ', cycle' END)),
    ('owned by', CASE WHEN o.oid IS NOT NULL THEN
        format('%I.%I.%I', m.nspname, o.relname, a.attname)
        || CASE d.deptype WHEN 'i' THEN ' (identity)' ELSE '' END END)
) f (facet, value)
WHERE {{user_schema|n}} AND {{not_extension|pg_class|c.oid}} AND f.value <> ''
