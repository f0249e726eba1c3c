-- Known harmless hashes, as `takedown.content` tells them. value NULL: the entry was removed.
CREATE TABLE {schema}.negative_list (
    entry_id  uuid PRIMARY KEY,
    algorithm text NOT NULL,
    value     bytea
);
