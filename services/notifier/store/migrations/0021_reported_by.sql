-- What stands for the API key that a takedown rests on, and which an open task of scope `key` is about. Erased with the takedown.
ALTER TABLE {schema}.takedowns ADD COLUMN reported_by text;
CREATE INDEX takedowns_reported_by ON {schema}.takedowns (reported_by) WHERE reported_by IS NOT NULL;
ALTER TABLE {schema}.tasks ADD COLUMN reported_by text;
CREATE INDEX tasks_of_key ON {schema}.tasks (reported_by, kind) WHERE closed_at IS NULL AND reported_by IS NOT NULL;

-- First demands of the last hour, of whichever takedown.
CREATE INDEX demands_first_issued ON {schema}.demands (issued_at) WHERE round = 1;
