-- Where drills had their scratch directories, beside the state directory: a
-- sweep looks there, too. The path is in the system's own bytes.
CREATE TABLE scratch_roots (
    path          BYTEA    NOT NULL PRIMARY KEY,
    first_used_at BIGINT NOT NULL
);
