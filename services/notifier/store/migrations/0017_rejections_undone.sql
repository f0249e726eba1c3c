-- Who rejected a picture, and with which takedown: what was rejected together is undone together.
ALTER TABLE {schema}.rejections
    ADD COLUMN takedown_id uuid,
    ADD COLUMN rejected_by text;
-- What a look that saw the content, or nearly, saw it by: keyed digests, erased with the target.
ALTER TABLE {schema}.checks ADD COLUMN fingerprint_refs text[];
