-- In the order in which the trend of a drill is read.
CREATE INDEX runs_by_trend ON runs (drill, concluded_at, id) WHERE concluded_at IS NOT NULL;
