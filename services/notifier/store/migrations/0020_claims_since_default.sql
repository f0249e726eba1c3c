-- A claim that nobody dates is of now: what was before is not shown.
ALTER TABLE {schema}.claims ALTER COLUMN since SET DEFAULT now();
