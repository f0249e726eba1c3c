-- A recipient says that it may depict a minor: nothing of it is fetched or shown until a person of operations has decided.
ALTER TABLE {schema}.content ADD COLUMN fetching_stopped boolean NOT NULL DEFAULT false;
