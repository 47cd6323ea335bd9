-- In the order in which the trend of a drill is read.
-- By itself: while it is built, runs can be read, and heartbeats go on.
CREATE INDEX runs_by_trend ON runs (drill, concluded_at, id) WHERE concluded_at IS NOT NULL;
