-- Runs that somebody has asked for, and that have not begun.
CREATE TABLE requests (
    run_id       TEXT    NOT NULL PRIMARY KEY,
    drill        TEXT    NOT NULL,
    -- What who asks calls the request.
    request_key  TEXT,
    -- What is different in it from what its drill says, as JSON.
    overrides    TEXT    NOT NULL,
    requested_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX requests_by_key ON requests (request_key);
