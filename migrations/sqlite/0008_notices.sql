-- Who is to be told of a run's end.
CREATE TABLE notices (
    run_id TEXT    NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    -- A name in the service's file.
    target TEXT    NOT NULL,
    -- When to try, or to try again; NULL once it is done or given up.
    due_at INTEGER,
    tries  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, target)
) STRICT, WITHOUT ROWID;

CREATE INDEX notices_due ON notices (due_at) WHERE due_at IS NOT NULL;
