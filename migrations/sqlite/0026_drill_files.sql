-- What each drill file last said that could be used, and a digest of it: a service that
-- begins while a file is broken goes on with that. Paths and texts are bytes.
CREATE TABLE drill_files (
    path   BLOB    NOT NULL PRIMARY KEY,
    digest INTEGER NOT NULL,
    said   BLOB    NOT NULL
) STRICT;
