CREATE INDEX runs_of_controls_by_drill ON runs (drill, requested_at DESC, id DESC, verdict) WHERE negative_control = 1;
