-- What a person saw: of a decision `looked`.
ALTER TABLE {schema}.decisions
    ADD COLUMN looked  text,
    ADD COLUMN seen_at timestamptz,
    ADD COLUMN how     text;
