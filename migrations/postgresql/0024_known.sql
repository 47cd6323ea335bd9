-- Since when a service knows each drill: one that never passed is late from then on,
-- whatever starts anew.
CREATE TABLE known_drills (
    drill TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    since BIGINT NOT NULL
);
