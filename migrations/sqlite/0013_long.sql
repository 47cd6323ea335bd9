-- The record of a run that has ended, compressed; `record` is empty then.
ALTER TABLE runs ADD COLUMN packed BLOB;
-- The newest change of the schema that the process knows. Those that do not say
-- so know no packed records: while one of them lives, none is packed.
ALTER TABLE replicas ADD COLUMN knows INTEGER NOT NULL DEFAULT 12;
