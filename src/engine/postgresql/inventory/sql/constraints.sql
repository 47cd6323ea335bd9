-- Constraints of tables; those of domains are with the types. Not-null
-- constraints (rows of their own from 18 on) are a facet of the column. A
-- foreign key's clones for single partitions get their names by chance, and
-- the parent's definition says all.
SELECT 'constraint', k.name, f.facet, f.value
FROM (
    SELECT k.*, format('%I on %I.%I', k.conname, n.nspname, c.relname) AS name,
        format('%I.%I', n.nspname, c.relname) AS relation
    FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND NOT (k.contype = 'f' AND k.conparentid <> 0)
        AND {{user_schema|n}} AND {{not_extension|pg_class|c.oid}}
) k
CROSS JOIN LATERAL (VALUES
    ('of', k.relation),
    ('definition', regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '')),
    ('validated', k.convalidated::text),
    -- Loading with triggers disabled can end in the middle.
    ('disabled triggers', CASE WHEN EXISTS (SELECT FROM pg_trigger t WHERE t.tgconstraint = k.oid
        AND t.tgisinternal AND t.tgenabled NOT IN ('O', 'A')) THEN 'it is not enforced' END)
) f (facet, value)
WHERE f.value IS NOT NULL
