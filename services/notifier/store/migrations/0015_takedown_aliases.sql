-- Ids by which a match may name a takedown that was begun under another version of its URL's key. Ids alone.
CREATE TABLE {schema}.takedown_aliases (
    takedown_id uuid PRIMARY KEY,
    known_as    uuid NOT NULL REFERENCES {schema}.takedowns ON DELETE CASCADE
);
