-- Comments and security labels. Those of an extension come with its files, and
-- of what a partition or child has from its parent no dump brings any.
SELECT 'comment', format('on %s %s', i.type, i.identity), 'text', d.description
FROM pg_description d
CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
WHERE (d.objoid >= 16384 OR (d.classoid = 'pg_namespace'::regclass AND d.objoid = 2200))
    AND d.classoid <> 'pg_extension'::regclass
    AND coalesce(i.schema, '') !~ '^pg_toast'
    AND NOT EXISTS (SELECT FROM pg_trigger t WHERE d.classoid = 'pg_trigger'::regclass
        AND t.oid = d.objoid AND t.tgparentid <> 0)
    AND NOT EXISTS (SELECT FROM pg_constraint k WHERE d.classoid = 'pg_constraint'::regclass
        AND k.oid = d.objoid AND (k.contype = 'f' AND k.conparentid <> 0
        OR k.contype IN ('c', 'n') AND k.conrelid <> 0 AND NOT k.conislocal))
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid
        AND e.deptype = 'e')
UNION ALL
SELECT 'security label', format('of %s on %s %s', l.provider, i.type, i.identity), 'label', l.label
FROM pg_seclabel l
CROSS JOIN LATERAL pg_identify_object(l.classoid, l.objoid, l.objsubid) i
WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = l.classoid AND e.objid = l.objoid
    AND e.deptype = 'e')
