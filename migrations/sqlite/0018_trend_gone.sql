-- What `runs_by_point` does, too.
DROP INDEX runs_by_trend;
