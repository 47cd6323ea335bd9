-- Functions, procedures, aggregates.
SELECT r.class, r.name, f.facet, f.value
FROM (
    SELECT p.*, format('%I.%I(%s)', n.nspname, p.proname,
            pg_get_function_identity_arguments(p.oid)) AS name,
        CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate'
            ELSE 'function' END AS class
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE {{user_schema|n}} AND {{not_extension|pg_proc|p.oid}}
        -- The constructors of a range type come and go with it.
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
            AND d.objid = p.oid AND d.refclassid = 'pg_type'::regclass AND d.deptype = 'i')
) r
LEFT JOIN pg_aggregate g ON g.aggfnoid = r.oid
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(r.proowner)::text),
    ('grants', {{grants|r.proacl|r.proowner|f}}),
    ('definition', CASE WHEN r.prokind <> 'a' THEN pg_get_functiondef(r.oid) ELSE
        format('%s returns %s: state %s via %s, final %s, combine %s, serial %s, deserial %s, '
            'start %L; moving: state %s via %s, inverse %s, final %s, start %L; '
            'sort %s, kind %s, parallel %s, modify %s %s',
            pg_get_function_arguments(r.oid), pg_get_function_result(r.oid),
            format_type(g.aggtranstype, NULL), g.aggtransfn, g.aggfinalfn, g.aggcombinefn,
            g.aggserialfn, g.aggdeserialfn, g.agginitval, g.aggmtranstype::regtype,
            g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn, g.aggminitval,
            g.aggsortop::regoperator, g.aggkind, r.proparallel, g.aggfinalmodify,
            g.aggfinalextra) END)
) f (facet, value)
WHERE f.value <> ''
