-- What a person rejected, of a content: `what` is a picture's `fingerprint_ref` or a takedown's id. A report that led to such a one says so.
CREATE TABLE {schema}.rejections (
    content_id uuid NOT NULL,
    what       text NOT NULL,
    PRIMARY KEY (content_id, what)
);
ALTER TABLE {schema}.report_takedowns ADD COLUMN fingerprint_ref text;
