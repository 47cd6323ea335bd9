-- 1 where a run that is to end early makes room for the next one of its drill.
ALTER TABLE runs ADD COLUMN end_replaced BIGINT NOT NULL DEFAULT 0;
