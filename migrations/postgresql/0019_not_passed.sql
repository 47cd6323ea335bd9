-- By itself: while it is built, runs can be read, and heartbeats go on.
-- What somebody looks for who asks for failed runs, or for those that go on.
CREATE INDEX runs_not_passed ON runs (requested_at DESC, id DESC) WHERE verdict IS NULL OR verdict <> 'passed';
-- The same of some drills, with all that their places are chosen by.
CREATE INDEX runs_not_passed_by_drill ON runs (drill, requested_at DESC, id DESC, verdict) WHERE verdict IS NULL OR verdict <> 'passed';
