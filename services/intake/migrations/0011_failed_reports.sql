-- A report whose looks raised, three in a row, has failed; that is its outcome.
ALTER TABLE {schema}.reports DROP CONSTRAINT reports_state_check;
ALTER TABLE {schema}.reports ADD CONSTRAINT reports_state_check
    CHECK (state IN ('queued', 'fetched', 'matched', 'no_match', 'no_media', 'unreachable', 'refused', 'failed'));
