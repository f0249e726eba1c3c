-- Where a report's sightings are, which is what the end of its case has to erase. Not known of what was reported before.
ALTER TABLE {schema}.report_sightings ADD COLUMN url_key text, ADD COLUMN key_version integer;
