-- In the order in which the trend of a drill is read, with all that it tells: no
-- row is looked at. It does what `runs_by_trend` did, too.
CREATE INDEX runs_by_point ON runs (drill, concluded_at, id, verdict, negative_control, rto_ms, rpo_ms, proof, namespace)
    WHERE concluded_at IS NOT NULL;
