-- Withdrawn content that is looked for in what was seen, under an id of its own, until its time is over. `told_at`: the log has it.
CREATE TABLE {schema}.erasure_searches (
    search_id uuid PRIMARY KEY,
    begun_at  timestamptz NOT NULL DEFAULT now(),
    told_at   timestamptz
);
