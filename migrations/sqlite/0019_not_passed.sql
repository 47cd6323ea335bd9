-- What somebody looks for who asks for failed runs, or for those that go on.
CREATE INDEX runs_not_passed ON runs (requested_at DESC, id DESC, verdict) WHERE verdict IS NULL OR verdict <> 'passed';
