-- Who suspended a content: each organisation, operations staff, or a key's revocation has a hold of its own, and ends no other's.
-- `content.hold` is the strongest of them.
CREATE TABLE {schema}.holds (
    content_id uuid NOT NULL REFERENCES {schema}.content ON DELETE CASCADE,
    held_by    text NOT NULL,
    hold       text NOT NULL,
    since      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (content_id, held_by, hold)
);
-- Of a hold from before nobody knows whose it is: operations staff end it.
INSERT INTO {schema}.holds (content_id, held_by, hold) SELECT content_id, 'operations', hold FROM {schema}.content WHERE hold IS NOT NULL;
