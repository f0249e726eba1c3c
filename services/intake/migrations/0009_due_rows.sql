-- A report in a worker's hands is leased, no longer due later: a worker that starts anew ends its own leases.
ALTER TABLE {schema}.reports
    ADD COLUMN lease_id     uuid,
    ADD COLUMN lease_owner  text,
    ADD COLUMN lease_until  timestamptz,
    ADD COLUMN failures     integer NOT NULL DEFAULT 0,
    ADD COLUMN last_failure text;
