-- Since when a service knows each drill: one that never passed is late from then on,
-- whatever starts anew.
CREATE TABLE known_drills (
    drill TEXT    NOT NULL PRIMARY KEY,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
