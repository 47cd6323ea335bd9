-- What is counted of the runs of each drill, as JSON. It is written in the very
-- transaction that concludes a run, and stays when runs are forgotten.
CREATE TABLE tallies (
    drill      TEXT    NOT NULL PRIMARY KEY,
    tally      TEXT    NOT NULL,
    -- By the clock of the database.
    changed_at INTEGER NOT NULL
) STRICT;

CREATE INDEX tallies_by_change ON tallies (changed_at);

-- What a trend tells of a run, noted when the run is counted. NULL where none was
-- measured that may be called so.
ALTER TABLE runs ADD COLUMN rto_ms INTEGER;
ALTER TABLE runs ADD COLUMN rpo_ms INTEGER;
-- That of its workload, where it is one of Kubernetes.
ALTER TABLE runs ADD COLUMN namespace TEXT;
-- NULL until the run is counted: those of the version before are not, and are
-- counted later. 'unreadable' where its record cannot be read.
ALTER TABLE runs ADD COLUMN proof TEXT;
