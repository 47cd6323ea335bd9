-- The record of a run that has ended, compressed; `record` is empty then.
ALTER TABLE runs ADD COLUMN packed BYTEA;
-- The newest change of the schema that the process knows. Those that do not say
-- so know no packed records: while one of them lives, none is packed.
ALTER TABLE replicas ADD COLUMN knows BIGINT NOT NULL DEFAULT 12;

-- It cannot be made smaller.
ALTER TABLE runs ALTER COLUMN packed SET STORAGE EXTERNAL;
