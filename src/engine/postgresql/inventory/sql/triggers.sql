-- Triggers, rules, policies, event triggers.
SELECT 'trigger', format('%I on %I.%I', t.tgname, n.nspname, c.relname), f.facet, f.value
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (VALUES
    ('of', format('%I.%I', n.nspname, c.relname)),
    ('definition', pg_get_triggerdef(t.oid)),
    ('enabled', {{enabled|t.tgenabled}})
) f (facet, value)
WHERE (NOT t.tgisinternal OR (t.tgparentid <> 0 AND t.tgconstraint = 0))
    AND {{user_schema|n}} AND {{not_extension|pg_class|c.oid}}
UNION ALL
SELECT 'rule', format('%I on %I.%I', r.rulename, n.nspname, c.relname), f.facet, f.value
FROM pg_rewrite r
JOIN pg_class c ON c.oid = r.ev_class
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (VALUES
    ('of', format('%I.%I', n.nspname, c.relname)),
    ('definition', pg_get_ruledef(r.oid)),
    ('enabled', {{enabled|r.ev_enabled}})
) f (facet, value)
WHERE r.rulename <> '_RETURN' AND {{user_schema|n}} AND {{not_extension|pg_class|c.oid}}
UNION ALL
SELECT 'policy', format('%I on %I.%I', p.polname, n.nspname, c.relname), f.facet, f.value
FROM pg_policy p
JOIN pg_class c ON c.oid = p.polrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (VALUES
    ('of', format('%I.%I', n.nspname, c.relname)),
    ('mode', CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END),
    ('command', CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert'
        WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete' ELSE 'all' END),
    ('roles', array_to_string(ARRAY(SELECT CASE o WHEN 0 THEN 'PUBLIC' ELSE
        quote_ident(pg_get_userbyid(o)) END FROM unnest(p.polroles) o ORDER BY 1), ', ')),
    ('using', pg_get_expr(p.polqual, p.polrelid)),
    ('with check', pg_get_expr(p.polwithcheck, p.polrelid))
) f (facet, value)
WHERE f.value IS NOT NULL AND {{user_schema|n}} AND {{not_extension|pg_class|c.oid}}
UNION ALL
SELECT 'event trigger', quote_ident(e.evtname), f.facet, f.value
FROM pg_event_trigger e
CROSS JOIN LATERAL (VALUES
    ('owner', pg_get_userbyid(e.evtowner)::text),
    ('definition', format('on %s%s execute %s', e.evtevent,
        ' when tag in (' || array_to_string(e.evttags, ', ') || ')',
        e.evtfoid::regprocedure)),
    ('enabled', {{enabled|e.evtenabled}})
) f (facet, value)
WHERE {{not_extension|pg_event_trigger|e.oid}}
