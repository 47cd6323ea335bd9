-- Times are microseconds since 1970, UTC.

-- One row per run. `record` is the whole record as JSON; the columns beside it
-- are what is searched for.
CREATE TABLE runs (
    id               TEXT    NOT NULL PRIMARY KEY,
    drill            TEXT    NOT NULL,
    requested_at     INTEGER NOT NULL,
    -- NULL while something of the run may be left.
    finished_at      INTEGER,
    -- NULL until the conclusion is drawn.
    verdict          TEXT CHECK (verdict IN ('passed', 'failed', 'inconclusive')),
    negative_control INTEGER NOT NULL CHECK (negative_control IN (0, 1)),
    -- The process that works on it, as JSON.
    owner            TEXT    NOT NULL,
    -- Grows with every takeover; a write with an older epoch is refused.
    epoch            INTEGER NOT NULL DEFAULT 1,
    record           TEXT    NOT NULL
) STRICT;

-- A drill runs once at a time.
CREATE UNIQUE INDEX runs_one_live_per_drill ON runs (drill) WHERE verdict IS NULL;
CREATE INDEX runs_by_drill ON runs (drill, requested_at DESC);
CREATE INDEX runs_by_time ON runs (requested_at DESC);
CREATE INDEX runs_unfinished ON runs (requested_at) WHERE finished_at IS NULL;

-- Append-only: what was begun and what came of it.
CREATE TABLE journal (
    run_id   TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    entry    TEXT    NOT NULL,
    PRIMARY KEY (run_id, sequence)
) STRICT, WITHOUT ROWID;

-- Outside resources, written down before they are made.
CREATE TABLE ledger (
    run_id      TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    acquired    TEXT    NOT NULL,
    resource    TEXT    NOT NULL,
    intended_at INTEGER NOT NULL,
    -- When it was seen to be gone.
    released_at INTEGER,
    PRIMARY KEY (run_id, acquired, resource)
) STRICT, WITHOUT ROWID;
