-- Comments and security labels. Those of an extension come with its files.
SELECT 'comment', format('on %s %s', i.type, i.identity), 'text', d.description
FROM pg_description d
CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
WHERE (d.objoid >= 16384 OR (d.classoid = 'pg_namespace'::regclass AND d.objoid = 2200))
    AND d.classoid <> 'pg_extension'::regclass
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid
        AND e.deptype = 'e')
UNION ALL
SELECT 'security label', format('of %s on %s %s', l.provider, i.type, i.identity), 'label', l.label
FROM pg_seclabel l
CROSS JOIN LATERAL pg_identify_object(l.classoid, l.objoid, l.objsubid) i
WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = l.classoid AND e.objid = l.objoid
    AND e.deptype = 'e')
