-- What stops everything about a content, read before each attempt, fetch and look. Written in the transaction that an answer
-- rests on, lifted by whoever wrote it; the events still carry the state. A row outlives its content's tombstone: what is withdrawn
-- never comes back under its id.
CREATE TABLE {schema}.stops (
    content_id uuid NOT NULL,
    stopped_by text NOT NULL,
    reason     text NOT NULL,
    since      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (content_id, stopped_by)
);
