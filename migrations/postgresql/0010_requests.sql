-- Runs that somebody has asked for, and that have not begun.
CREATE TABLE requests (
    run_id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    drill        TEXT COLLATE "C" NOT NULL,
    -- What who asks calls the request.
    request_key  TEXT COLLATE "C",
    -- What is different in it from what its drill says, as JSON.
    overrides    TEXT NOT NULL,
    requested_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX requests_by_key ON requests (request_key);
