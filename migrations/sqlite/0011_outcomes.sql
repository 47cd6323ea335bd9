-- Which outcomes there are the program knows: a new one needs no other table.
CREATE TABLE fires_anew (
    drill         TEXT    NOT NULL,
    scheduled_for INTEGER NOT NULL,
    settled_at    INTEGER NOT NULL,
    outcome       TEXT    NOT NULL,
    -- So many fire times before it passed, too, and are not told one by one.
    older         INTEGER NOT NULL DEFAULT 0,
    -- The run that was started.
    run_id        TEXT REFERENCES runs (id) ON DELETE SET NULL,
    PRIMARY KEY (drill, scheduled_for)
) STRICT, WITHOUT ROWID;

INSERT INTO fires_anew (drill, scheduled_for, settled_at, outcome, older, run_id)
SELECT drill, scheduled_for, settled_at, outcome, older, run_id FROM fires;
DROP TABLE fires;
ALTER TABLE fires_anew RENAME TO fires;

CREATE INDEX fires_by_time ON fires (scheduled_for DESC);
CREATE INDEX fires_by_run ON fires (run_id) WHERE run_id IS NOT NULL;

CREATE INDEX fires_by_settling ON fires (settled_at) WHERE outcome <> 'started';
