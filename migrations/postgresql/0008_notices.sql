-- Who is to be told of a run's end.
CREATE TABLE notices (
    run_id TEXT COLLATE "C" NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    -- A name in the service's file.
    target TEXT COLLATE "C" NOT NULL,
    -- When to try, or to try again; NULL once it is done or given up.
    due_at BIGINT,
    tries  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (run_id, target)
);

CREATE INDEX notices_due ON notices (due_at) WHERE due_at IS NOT NULL;
