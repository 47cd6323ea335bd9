-- By itself, as the one before.
-- The same of some drills, with all that their places are chosen by.
CREATE INDEX runs_not_passed_by_drill ON runs (drill, requested_at DESC, id DESC, verdict)
    WHERE verdict IS NULL OR verdict <> 'passed';
