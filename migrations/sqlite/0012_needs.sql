-- The oldest schema that a program has to know to use this one. A change that a
-- program of the version before could not live with raises it.
CREATE TABLE schema_needs (
    known INTEGER NOT NULL
) STRICT;

INSERT INTO schema_needs (known) VALUES (12);
