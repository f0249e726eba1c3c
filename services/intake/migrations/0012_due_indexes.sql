-- What is asked for by its age, or by whether it was told, has an index.
CREATE INDEX reports_age ON {schema}.reports (created_at);
CREATE INDEX erasures_ordered ON {schema}.erasures (erasure_id) WHERE told_at IS NULL;
CREATE INDEX erasures_told ON {schema}.erasures (told_at) WHERE told_at IS NOT NULL;
CREATE INDEX erasures_url ON {schema}.erasures USING hash (url_key) WHERE url_key IS NOT NULL;
