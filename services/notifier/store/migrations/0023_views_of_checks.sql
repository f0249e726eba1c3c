-- The part of a picture by which a check saw the content (`trim`, `cell`, ...), and how far the picture as a whole was from it, in bits.
ALTER TABLE {schema}.checks
    ADD COLUMN view           text,
    ADD COLUMN whole_distance smallint;
