-- Up to which fire time each drill's schedule is dealt with; at first, when the
-- calendar was first seen.
CREATE TABLE schedules (
    drill    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    settled  BIGINT NOT NULL,
    -- As it was last seen; another one begins anew.
    calendar TEXT    NOT NULL DEFAULT ''
);

-- What became of fire times. A fire time is settled once, whoever does it.
CREATE TABLE fires (
    drill         TEXT COLLATE "C" NOT NULL,
    scheduled_for BIGINT NOT NULL,
    settled_at    BIGINT NOT NULL,
    outcome       TEXT    NOT NULL CHECK (outcome IN
        ('started', 'missed', 'blackout', 'suspended', 'overlap', 'budget')),
    -- So many fire times before it passed, too, and are not told one by one.
    older         BIGINT NOT NULL DEFAULT 0,
    -- The run that was started.
    run_id        TEXT COLLATE "C" REFERENCES runs (id) ON DELETE SET NULL,
    PRIMARY KEY (drill, scheduled_for)
);

CREATE INDEX fires_by_time ON fires (scheduled_for DESC);
CREATE INDEX fires_by_run ON fires (run_id) WHERE run_id IS NOT NULL;
