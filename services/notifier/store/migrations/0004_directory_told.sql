-- The directory's changes, and up to which of them the takedowns that wait for it were told.
CREATE TABLE {schema}.directory (
    one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    changes bigint NOT NULL DEFAULT 0,
    told    bigint NOT NULL DEFAULT 0
);
INSERT INTO {schema}.directory DEFAULT VALUES;
