CREATE INDEX runs_of_controls ON runs (requested_at DESC, id DESC, verdict) WHERE negative_control = 1;
