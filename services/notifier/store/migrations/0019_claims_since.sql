-- Since when an organisation has a claim here: what happened before is not shown to it. Of claims from before only their last change is known.
ALTER TABLE {schema}.claims ADD COLUMN since timestamptz;
UPDATE {schema}.claims SET since = changed_at;
ALTER TABLE {schema}.claims ALTER COLUMN since SET NOT NULL;
