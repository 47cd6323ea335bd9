-- As of SQLite, with the types of PostgreSQL. What is compared is in the order of
-- its bytes.
-- Times are microseconds since 1970, UTC.

-- One row per run. `record` is the whole record as JSON; the columns beside it
-- are what is searched for.
CREATE TABLE runs (
    id               TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    drill            TEXT COLLATE "C" NOT NULL,
    requested_at     BIGINT NOT NULL,
    -- NULL while something of the run may be left.
    finished_at      BIGINT,
    -- NULL until the conclusion is drawn.
    verdict          TEXT CHECK (verdict IN ('passed', 'failed', 'inconclusive')),
    negative_control BIGINT NOT NULL CHECK (negative_control IN (0, 1)),
    -- The process that works on it, as JSON.
    owner            TEXT COLLATE "C" NOT NULL,
    -- Grows with every takeover; a write with an older epoch is refused.
    epoch            BIGINT NOT NULL DEFAULT 1,
    record           TEXT    NOT NULL
);

-- A drill runs once at a time.
CREATE UNIQUE INDEX runs_one_live_per_drill ON runs (drill) WHERE verdict IS NULL;
CREATE INDEX runs_by_drill ON runs (drill, requested_at DESC);
CREATE INDEX runs_by_time ON runs (requested_at DESC);
CREATE INDEX runs_unfinished ON runs (requested_at) WHERE finished_at IS NULL;

-- Append-only: what was begun and what came of it.
CREATE TABLE journal (
    run_id   TEXT COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sequence BIGINT NOT NULL,
    at       BIGINT NOT NULL,
    entry    TEXT    NOT NULL,
    PRIMARY KEY (run_id, sequence)
);

-- Outside resources, written down before they are made.
CREATE TABLE ledger (
    run_id      TEXT COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    acquired    TEXT COLLATE "C" NOT NULL,
    resource    TEXT COLLATE "C" NOT NULL,
    intended_at BIGINT NOT NULL,
    -- When it was seen to be gone.
    released_at BIGINT,
    PRIMARY KEY (run_id, acquired, resource)
);
