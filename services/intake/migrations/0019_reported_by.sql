-- What stands for the API key by which a report came (a keyed digest of its id). Older reports lack it.
ALTER TABLE {schema}.reports ADD COLUMN reported_by text;
