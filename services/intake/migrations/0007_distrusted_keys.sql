-- Keys that were revoked with the content that rests on them: what comes to rest on such keys alone later is suspended, too.
CREATE TABLE {schema}.distrusted_keys (
    key_id uuid PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT now()
);
