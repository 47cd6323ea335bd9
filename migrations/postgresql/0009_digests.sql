-- Who is to be told what happened in a period. A table of its own beside that
-- of single runs: a service of the version before must not meet a notice that
-- is about no run.
CREATE TABLE digests (
    -- A name in the service's file.
    target TEXT COLLATE "C" NOT NULL,
    -- From `since` up to, and without, `until`.
    since  BIGINT NOT NULL,
    until  BIGINT NOT NULL,
    -- When to try, or to try again; NULL once it is done or given up.
    due_at BIGINT,
    tries  BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (target, since, until)
);

CREATE INDEX digests_due ON digests (due_at) WHERE due_at IS NOT NULL;

-- What sums up a period asks for what was noted in it.
CREATE INDEX fires_by_settling ON fires (settled_at) WHERE outcome <> 'started';
