-- Indexes; one that stands behind a constraint belongs to it.
SELECT 'index', format('%I.%I', n.nspname, i.relname), f.facet, f.value
FROM pg_index x
JOIN pg_class i ON i.oid = x.indexrelid
JOIN pg_class c ON c.oid = x.indrelid
JOIN pg_namespace n ON n.oid = i.relnamespace
LEFT JOIN pg_constraint k ON k.conindid = x.indexrelid AND k.contype IN ('p', 'u', 'x')
CROSS JOIN LATERAL (VALUES
    ('of', CASE WHEN k.oid IS NOT NULL THEN format('%I on %I.%I', k.conname, n.nspname, c.relname)
        ELSE format('%I.%I', n.nspname, c.relname) END),
    ('kind', CASE i.relkind WHEN 'I' THEN 'partitioned' END),
    ('definition', pg_get_indexdef(x.indexrelid)),
    ('state', CASE WHEN NOT x.indisvalid THEN 'invalid' WHEN NOT x.indisready THEN 'not ready'
        WHEN NOT x.indislive THEN 'being dropped' ELSE 'valid' END),
    ('part of', (SELECT h.inhparent::regclass::text FROM pg_inherits h
        WHERE h.inhrelid = x.indexrelid)),
    ('statistics targets', (SELECT string_agg(a.attnum || ': ' || a.attstattarget, ', '
        ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = x.indexrelid AND a.attstattarget >= 0))
) f (facet, value)
WHERE {{user_schema|n}} AND {{not_extension|pg_class|c.oid}} AND c.relkind IN ('r', 'p', 'm')
    AND f.value IS NOT NULL
