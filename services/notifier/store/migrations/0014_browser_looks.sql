-- What became of a browser's looks in a check, a word each; none where none was asked.
ALTER TABLE {schema}.checks ADD COLUMN browser text;
