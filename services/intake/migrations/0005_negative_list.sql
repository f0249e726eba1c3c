-- Known harmless hashes. An entry counts once another person has confirmed it, never changes after that, and goes with its row.
CREATE TABLE {schema}.negative_list (
    entry_id      uuid PRIMARY KEY,
    algorithm     text NOT NULL,
    value         bytea NOT NULL,
    reason        text NOT NULL,
    declared_by   text NOT NULL,
    declared_key  uuid NOT NULL,
    confirmed_by  text,
    confirmed_key uuid,
    confirmed_at  timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    UNIQUE (algorithm, value),
    CHECK (confirmed_by IS NULL OR confirmed_by <> declared_by)
);
CREATE INDEX negative_list_page ON {schema}.negative_list (created_at DESC, entry_id DESC);

-- How far a sighting may be from this fingerprint; NULL: as far as its algorithm allows.
ALTER TABLE {schema}.fingerprints ADD COLUMN max_distance integer CHECK (max_distance BETWEEN 0 AND 31);
