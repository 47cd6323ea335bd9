-- When the verdict was drawn: what counts runs asks for those since it last did.
ALTER TABLE runs ADD COLUMN concluded_at BIGINT;

UPDATE runs SET concluded_at = coalesce(finished_at, requested_at) WHERE verdict IS NOT NULL;

CREATE INDEX runs_by_conclusion ON runs (concluded_at, id) WHERE concluded_at IS NOT NULL;
