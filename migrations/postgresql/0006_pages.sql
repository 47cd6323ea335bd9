-- In the very order in which pages of runs are read: newest first, and of two
-- of the same instant the one with the greater id.
DROP INDEX runs_by_time;
DROP INDEX runs_by_drill;
CREATE INDEX runs_by_time ON runs (requested_at DESC, id DESC);
CREATE INDEX runs_by_drill ON runs (drill, requested_at DESC, id DESC);
