-- By itself: whoever holds the index before it while a run is begun beside it
-- would have to wait for who waits for it.
-- What `runs_by_point` does, too.
DROP INDEX runs_by_trend;
