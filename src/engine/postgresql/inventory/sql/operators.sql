-- What extends the language of the database: operators and their classes,
-- casts, conversions, collations, text search, languages, access methods,
-- transforms, statistics.
SELECT 'operator', format('%I.%s(%s,%s)', n.nspname, o.oprname,
    CASE o.oprleft WHEN 0 THEN 'none' ELSE format_type(o.oprleft, NULL) END,
    CASE o.oprright WHEN 0 THEN 'none' ELSE format_type(o.oprright, NULL) END), f.facet, f.value
FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(o.oprowner)::text),
    ('definition', format('function %s, commutator %s, negator %s, restrict %s, join %s, '
        'hashes %s, merges %s', o.oprcode, o.oprcom::regoperator, o.oprnegate::regoperator,
        o.oprrest, o.oprjoin, o.oprcanhash, o.oprcanmerge))
) f (facet, value)
WHERE {{user_schema|n}} AND {{not_extension|pg_operator|o.oid}}
UNION ALL
SELECT 'operator class', format('%I.%I using %I', n.nspname, o.opcname, m.amname), f.facet, f.value
FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace JOIN pg_am m ON m.oid = o.opcmethod
JOIN pg_opfamily y ON y.oid = o.opcfamily JOIN pg_namespace yn ON yn.oid = y.opfnamespace
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(o.opcowner)::text),
    ('definition', format('for %s, family %I.%I, default %s, stores %s',
        format_type(o.opcintype, NULL), yn.nspname, y.opfname, o.opcdefault,
        CASE o.opckeytype WHEN 0 THEN 'the same' ELSE format_type(o.opckeytype, NULL) END))
) f (facet, value)
WHERE {{user_schema|n}} AND {{not_extension|pg_opclass|o.oid}}
UNION ALL
SELECT 'operator family', format('%I.%I using %I', n.nspname, o.opfname, m.amname), f.facet, f.value
FROM pg_opfamily o JOIN pg_namespace n ON n.oid = o.opfnamespace JOIN pg_am m ON m.oid = o.opfmethod
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(o.opfowner)::text),
    ('operators', (SELECT string_agg(format('%s %s %s', a.amopstrategy,
        a.amopopr::regoperator, a.amoppurpose), ', ' ORDER BY a.amopstrategy,
        a.amopopr::regoperator::text) FROM pg_amop a WHERE a.amopfamily = o.oid)),
    ('functions', (SELECT string_agg(format('%s %s', a.amprocnum, a.amproc::regprocedure), ', '
        ORDER BY a.amprocnum, a.amproc::regprocedure::text) FROM pg_amproc a
        WHERE a.amprocfamily = o.oid))
) f (facet, value)
WHERE {{user_schema|n}} AND {{not_extension|pg_opfamily|o.oid}} AND f.value IS NOT NULL
UNION ALL
SELECT 'cast', format('(%s as %s)', format_type(k.castsource, NULL), format_type(k.casttarget, NULL)),
    'definition', format('%s, %s', CASE k.castmethod WHEN 'f' THEN 'with ' || k.castfunc::regprocedure
        WHEN 'i' THEN 'with inout' ELSE 'binary' END, CASE k.castcontext WHEN 'e' THEN 'explicit'
        WHEN 'a' THEN 'on assignment' ELSE 'implicit' END)
FROM pg_cast k WHERE k.oid >= 16384 AND {{not_extension|pg_cast|k.oid}}
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_cast'::regclass
        AND d.objid = k.oid AND d.deptype = 'i')
UNION ALL
SELECT 'conversion', format('%I.%I', n.nspname, k.conname), f.facet, f.value
FROM pg_conversion k JOIN pg_namespace n ON n.oid = k.connamespace
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(k.conowner)::text),
    ('definition', format('%s to %s by %s%s', pg_encoding_to_char(k.conforencoding),
        pg_encoding_to_char(k.contoencoding), k.conproc, CASE WHEN k.condefault THEN ', default' END))
) f (facet, value)
WHERE {{user_schema|n}} AND {{not_extension|pg_conversion|k.oid}}
UNION ALL
SELECT 'collation', format('%I.%I', n.nspname, k.collname), f.facet, f.value
FROM pg_collation k JOIN pg_namespace n ON n.oid = k.collnamespace
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(k.collowner)::text),
    ('definition', format('provider %s, collate %s, ctype %s, locale %s, deterministic %s, rules %s',
        k.collprovider, k.collcollate, k.collctype, coalesce(to_jsonb(k) ->> 'colllocale',
        to_jsonb(k) ->> 'colliculocale'), k.collisdeterministic,
        coalesce(to_jsonb(k) ->> 'collicurules', 'none')))
) f (facet, value)
WHERE {{user_schema|n}} AND {{not_extension|pg_collation|k.oid}}
UNION ALL
SELECT 'text search configuration', format('%I.%I', n.nspname, k.cfgname), f.facet, f.value
FROM pg_ts_config k JOIN pg_namespace n ON n.oid = k.cfgnamespace
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(k.cfgowner)::text),
    ('parser', (SELECT format('%I.%I', m.nspname, p.prsname) FROM pg_ts_parser p
        JOIN pg_namespace m ON m.oid = p.prsnamespace WHERE p.oid = k.cfgparser)),
    ('mappings', (SELECT string_agg(format('%s: %s', m.maptokentype, m.mapdict::regdictionary), ', '
        ORDER BY m.maptokentype, m.mapseqno) FROM pg_ts_config_map m WHERE m.mapcfg = k.oid))
) f (facet, value)
WHERE {{user_schema|n}} AND {{not_extension|pg_ts_config|k.oid}} AND f.value IS NOT NULL
UNION ALL
SELECT 'text search dictionary', format('%I.%I', n.nspname, k.dictname), f.facet, f.value
FROM pg_ts_dict k JOIN pg_namespace n ON n.oid = k.dictnamespace
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(k.dictowner)::text),
    ('definition', (SELECT format('template %I.%I (%s)', m.nspname, t.tmplname, k.dictinitoption)
        FROM pg_ts_template t JOIN pg_namespace m ON m.oid = t.tmplnamespace
        WHERE t.oid = k.dicttemplate))
) f (facet, value)
WHERE {{user_schema|n}} AND {{not_extension|pg_ts_dict|k.oid}}
UNION ALL
SELECT 'text search parser', format('%I.%I', n.nspname, k.prsname), 'definition',
    format('start %s, token %s, end %s, headline %s, types %s', k.prsstart, k.prstoken, k.prsend,
        k.prsheadline, k.prslextype)
FROM pg_ts_parser k JOIN pg_namespace n ON n.oid = k.prsnamespace
WHERE {{user_schema|n}} AND {{not_extension|pg_ts_parser|k.oid}}
UNION ALL
SELECT 'text search template', format('%I.%I', n.nspname, k.tmplname), 'definition',
    format('init %s, lexize %s', k.tmplinit, k.tmpllexize)
FROM pg_ts_template k JOIN pg_namespace n ON n.oid = k.tmplnamespace
WHERE {{user_schema|n}} AND {{not_extension|pg_ts_template|k.oid}}
UNION ALL
SELECT 'language', quote_ident(k.lanname), f.facet, f.value
FROM pg_language k
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(k.lanowner)::text),
    ('grants', {{grants|k.lanacl|k.lanowner|l}}),
    ('definition', format('trusted %s, call %s, inline %s, validator %s', k.lanpltrusted,
        k.lanplcallfoid::regproc, k.laninline::regproc, k.lanvalidator::regproc))
) f (facet, value)
WHERE k.oid >= 16384 AND {{not_extension|pg_language|k.oid}}
UNION ALL
SELECT 'access method', quote_ident(k.amname), 'definition', format('%s %s', k.amtype, k.amhandler)
FROM pg_am k WHERE k.oid >= 16384 AND {{not_extension|pg_am|k.oid}}
UNION ALL
SELECT 'transform', format('for %s language %I', format_type(k.trftype, NULL), l.lanname),
    'definition', format('from %s, to %s', k.trffromsql, k.trftosql)
FROM pg_transform k JOIN pg_language l ON l.oid = k.trflang
WHERE {{not_extension|pg_transform|k.oid}}
UNION ALL
SELECT 'statistics', format('%I.%I', n.nspname, k.stxname), f.facet, f.value
FROM pg_statistic_ext k JOIN pg_namespace n ON n.oid = k.stxnamespace
JOIN pg_class c ON c.oid = k.stxrelid JOIN pg_namespace m ON m.oid = c.relnamespace
CROSS JOIN LATERAL (VALUES
    ('of', format('%I.%I', m.nspname, c.relname)),
    ('owner', pg_get_userbyid(k.stxowner)::text),
    ('definition', pg_get_statisticsobjdef(k.oid)),
    ('statistics target', nullif(k.stxstattarget, -1)::text)
) f (facet, value)
WHERE {{user_schema|n}} AND {{not_extension|pg_statistic_ext|k.oid}} AND f.value IS NOT NULL
