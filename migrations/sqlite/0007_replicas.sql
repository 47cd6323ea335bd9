-- Processes that work on runs, and until when each of them counts as alive. By
-- the clock of the database: the clocks of machines differ.
CREATE TABLE replicas (
    -- As in `runs`.
    owner      TEXT    NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A name for all processes that share this history, and nobody else has.
CREATE TABLE installation (
    only_one INTEGER NOT NULL PRIMARY KEY CHECK (only_one = 1),
    name     TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Names the last write: one whose answer was lost is known again.
ALTER TABLE runs ADD COLUMN last_write TEXT NOT NULL DEFAULT '';
-- What the run takes a share of, as JSON, for the budgets of all processes.
ALTER TABLE runs ADD COLUMN shares TEXT NOT NULL DEFAULT '[]';
-- 1 where somebody wants the run to end early.
ALTER TABLE runs ADD COLUMN end_asked INTEGER NOT NULL DEFAULT 0 CHECK (end_asked IN (0, 1));
-- What who asked for the run calls the request: asked twice, it runs once.
ALTER TABLE runs ADD COLUMN request_key TEXT;

CREATE UNIQUE INDEX runs_by_request ON runs (request_key) WHERE request_key IS NOT NULL;
