-- What one worker of due rows needs of every table: a lease, and how many failures there were in a row, with the last one's name.
ALTER TABLE {schema}.due_checks
    ADD COLUMN failures     int NOT NULL DEFAULT 0,
    ADD COLUMN last_failure text;
ALTER TABLE {schema}.messages
    ADD COLUMN failures     int NOT NULL DEFAULT 0,
    ADD COLUMN last_failure text;
ALTER TABLE {schema}.timers
    ADD COLUMN lease_id     uuid,
    ADD COLUMN lease_owner  text,
    ADD COLUMN lease_until  timestamptz,
    ADD COLUMN failures     int NOT NULL DEFAULT 0,
    ADD COLUMN last_failure text;
