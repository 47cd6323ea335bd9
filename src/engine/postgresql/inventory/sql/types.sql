-- Types that are no table's row type, no array, no multirange; with the
-- constraints of domains.
SELECT CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END,
    format('%I.%I', n.nspname, t.typname), f.facet, f.value
FROM pg_type t
JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_class c ON c.oid = t.typrelid
LEFT JOIN pg_range r ON r.rngtypid = t.oid
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(t.typowner)::text),
    ('grants', {{grants|t.typacl|t.typowner|T}}),
    ('kind', CASE t.typtype WHEN 'b' THEN 'base' WHEN 'c' THEN 'composite' WHEN 'e' THEN 'enum'
        WHEN 'r' THEN 'range' WHEN 'p' THEN 'shell' END),
    ('labels', (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
        FROM pg_enum e WHERE e.enumtypid = t.oid)),
    ('attributes', CASE WHEN t.typtype = 'c' THEN (SELECT string_agg(format('%I %s%s', a.attname,
            format_type(a.atttypid, a.atttypmod), (SELECT format(' COLLATE %I.%I', o.nspname,
            l.collname) FROM pg_collation l JOIN pg_namespace o ON o.oid = l.collnamespace
            JOIN pg_type b ON b.oid = a.atttypid
            WHERE l.oid = a.attcollation AND a.attcollation <> b.typcollation)), ', '
            ORDER BY a.attnum)
        FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0
        AND NOT a.attisdropped) END),
    ('base', CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END),
    ('not null', CASE WHEN t.typnotnull THEN 'true' END),
    ('default', CASE WHEN t.typtype = 'd' THEN
        coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault) END),
    ('collation', CASE WHEN t.typtype = 'd' THEN (SELECT format('%I.%I', o.nspname, l.collname)
        FROM pg_collation l JOIN pg_namespace o ON o.oid = l.collnamespace
        JOIN pg_type b ON b.oid = t.typbasetype
        WHERE l.oid = t.typcollation AND t.typcollation <> b.typcollation) END),
    ('constraints', (SELECT string_agg(format('%I %s', k.conname, pg_get_constraintdef(k.oid)),
        '; ' ORDER BY k.conname) FROM pg_constraint k
        WHERE k.contypid = t.oid AND k.contype <> 'n')),
    ('subtype', (SELECT format('%s, operator class %I, collation %s, canonical %s, difference %s',
        format_type(r.rngsubtype, NULL), o.opcname, (SELECT format('%I.%I', m.nspname, l.collname)
        FROM pg_collation l JOIN pg_namespace m ON m.oid = l.collnamespace
        WHERE l.oid = r.rngcollation), r.rngcanonical, r.rngsubdiff)
        FROM pg_opclass o WHERE o.oid = r.rngsubopc)),
    ('definition', CASE WHEN t.typtype = 'b' THEN format('input %s, output %s, receive %s, send %s, '
        'typmod %s %s, analyze %s, length %s, by value %s, align %s, storage %s, category %s, '
        'preferred %s, delimiter %L, element %s, default %L', t.typinput, t.typoutput,
        t.typreceive, t.typsend, t.typmodin, t.typmodout, t.typanalyze, t.typlen, t.typbyval,
        t.typalign, t.typstorage, t.typcategory, t.typispreferred, t.typdelim,
        format_type(t.typelem, NULL), t.typdefault) END)
) f (facet, value)
WHERE t.typtype IN ('b', 'c', 'd', 'e', 'r', 'p') AND (c.oid IS NULL OR c.relkind = 'c')
    AND NOT EXISTS (SELECT FROM pg_type e WHERE e.oid = t.typelem AND e.typarray = t.oid)
    AND {{user_schema|n}} AND {{not_extension|pg_type|t.oid}} AND f.value <> ''
