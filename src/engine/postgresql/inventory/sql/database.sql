-- What belongs to the database as a whole: schemas, extensions, foreign data,
-- publications, default privileges, large objects.
SELECT 'schema', quote_ident(n.nspname), f.facet, f.value
FROM pg_namespace n
CROSS JOIN LATERAL (VALUES
    -- Before 15 `public` is the bootstrap superuser's, whatever its name.
    ('owner', CASE WHEN n.nspname = 'public' AND n.nspowner IN (10, 6171) THEN 'the default'
        ELSE pg_get_userbyid(n.nspowner)::text END),
    ('grants', {{grants|n.nspacl|n.nspowner|n}})
) f (facet, value)
WHERE {{user_schema|n}} AND {{not_extension|pg_namespace|n.oid}} AND f.value IS NOT NULL
UNION ALL
SELECT 'extension', quote_ident(e.extname), f.facet, f.value
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
CROSS JOIN LATERAL (VALUES
    ('schema', quote_ident(n.nspname)),
    ('version', e.extversion)
) f (facet, value)
UNION ALL
SELECT 'foreign data wrapper', quote_ident(w.fdwname), f.facet, f.value
FROM pg_foreign_data_wrapper w
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(w.fdwowner)::text),
    ('grants', {{grants|w.fdwacl|w.fdwowner|F}}),
    ('definition', format('handler %s, validator %s', w.fdwhandler::regproc, w.fdwvalidator::regproc)),
    ('options', {{options|w.fdwoptions}})
) f (facet, value)
WHERE {{not_extension|pg_foreign_data_wrapper|w.oid}} AND f.value <> ''
UNION ALL
SELECT 'server', quote_ident(s.srvname), f.facet, f.value
FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(s.srvowner)::text),
    ('grants', {{grants|s.srvacl|s.srvowner|S}}),
    ('definition', format('wrapper %I, type %L, version %L', w.fdwname, s.srvtype, s.srvversion)),
    ('options', {{options|s.srvoptions}})
) f (facet, value)
WHERE {{not_extension|pg_foreign_server|s.oid}} AND f.value <> ''
UNION ALL
SELECT 'user mapping', format('%s on server %I', CASE m.umuser WHEN 0 THEN 'PUBLIC'
    ELSE quote_ident(m.usename) END, m.srvname), 'exists', 'true'
FROM pg_user_mappings m
UNION ALL
SELECT 'publication', quote_ident(p.pubname), f.facet, f.value
FROM pg_publication p
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(p.pubowner)::text),
    ('definition', concat_ws(', ', CASE WHEN p.puballtables THEN 'all tables' END,
        CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
        CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END,
        CASE WHEN p.pubviaroot THEN 'via root' END)),
    ('tables', (SELECT string_agg(r.prrelid::regclass::text
        || {{since|150000|coalesce(' (' || (SELECT string_agg(quote_ident(a.attname), ', '
            ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = r.prrelid
            AND a.attnum = ANY (r.prattrs)) || ')', '')
            || coalesce(' where ' || pg_get_expr(r.prqual, r.prrelid), '')|''}}, '; '
        ORDER BY r.prrelid::regclass::text) FROM pg_publication_rel r WHERE r.prpubid = p.oid)),
    ('schemas', {{since|150000|(SELECT string_agg(quote_ident(n.nspname), ', ' ORDER BY n.nspname)
        FROM pg_publication_namespace s JOIN pg_namespace n ON n.oid = s.pnnspid
        WHERE s.pnpubid = p.oid)|NULL}})
) f (facet, value)
WHERE f.value IS NOT NULL
UNION ALL
-- The connection string is secret, and whether it is enabled does not outlive a dump.
SELECT 'subscription', quote_ident(s.subname), f.facet, f.value
FROM pg_subscription s
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(s.subowner)::text),
    ('publications', array_to_string(ARRAY(SELECT p FROM unnest(s.subpublications) p
        ORDER BY 1), ', '))
) f (facet, value)
WHERE s.subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
UNION ALL
SELECT 'default privileges', format('of %I%s on %s', pg_get_userbyid(d.defaclrole),
    (SELECT ' in schema ' || quote_ident(n.nspname) FROM pg_namespace n
    WHERE n.oid = d.defaclnamespace), CASE d.defaclobjtype WHEN 'r' THEN 'tables'
    WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types'
    WHEN 'n' THEN 'schemas' WHEN 'L' THEN 'large objects' ELSE d.defaclobjtype::text END),
    'grants', coalesce({{grants|d.defaclacl|d.defaclrole|r}}, 'none')
FROM pg_default_acl d
UNION ALL
-- There can be millions of them: their number and the sum of their hashes.
SELECT 'large objects', format('of %I', pg_get_userbyid(l.lomowner)), f.facet, f.value
FROM (SELECT m.lomowner, count(*) AS number, sum(hashtextextended(
    m.oid || coalesce(m.lomacl, acldefault('L', m.lomowner))::text, 0)) AS digest
    FROM pg_largeobject_metadata m GROUP BY m.lomowner) l
CROSS JOIN LATERAL (VALUES
    ('number', l.number::text),
    ('grants', 'digest ' || l.digest)
) f (facet, value)
