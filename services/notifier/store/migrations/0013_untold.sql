-- What a takedown has still to hear of: `content` (its content's row has changed), `terms` (its claims have), or a decision's id. Due
-- rows, for one content may have many thousands of takedowns, and each of them fails alone.
CREATE TABLE {schema}.untold (
    takedown_id  uuid NOT NULL,
    what         text NOT NULL,
    due_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_id     uuid,
    lease_owner  text,
    lease_until  timestamptz,
    failures     int NOT NULL DEFAULT 0,
    last_failure text,
    PRIMARY KEY (takedown_id, what)
);
CREATE INDEX untold_due ON {schema}.untold (due_at);

-- A match that waited is due once what it waited for is known.
ALTER TABLE {schema}.waiting_matches
    ADD COLUMN due_at       timestamptz,
    ADD COLUMN lease_id     uuid,
    ADD COLUMN lease_owner  text,
    ADD COLUMN lease_until  timestamptz,
    ADD COLUMN failures     int NOT NULL DEFAULT 0,
    ADD COLUMN last_failure text;
CREATE INDEX waiting_matches_due ON {schema}.waiting_matches (due_at) WHERE due_at IS NOT NULL;
