-- What is to be published. data NULL: publish the current row of this key. Order is kept per key by `sequence`.
CREATE TABLE {schema}.outbox (
    sequence    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    outbox_id   uuid NOT NULL UNIQUE,
    topic       text NOT NULL,
    key         text NOT NULL,
    type        text,
    data        bytea,
    traceparent text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    parked_at   timestamptz,
    reason      text
);
-- The relay looks for the oldest row of each key that is not blocked by a parked one.
CREATE INDEX outbox_parked ON {schema}.outbox (topic, key) WHERE parked_at IS NOT NULL;

-- Events already handled, by group: a repeat does nothing.
CREATE TABLE {schema}.inbox (
    group_name text NOT NULL,
    event_id   text NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (group_name, event_id)
);
CREATE INDEX inbox_age ON {schema}.inbox (handled_at);
