-- By itself, as the one before.
-- Runs that are not counted yet; none, once those of the version before are.
CREATE INDEX runs_uncounted ON runs (concluded_at) WHERE proof IS NULL AND verdict IS NOT NULL;
