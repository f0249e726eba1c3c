-- Nothing of the content is fetched or shown: what `content` says, and what was decided here before it says so.
ALTER TABLE {schema}.content
    ADD COLUMN fetching_stopped      boolean NOT NULL DEFAULT false,
    ADD COLUMN fetching_stopped_here boolean NOT NULL DEFAULT false;

-- How often an answer was given.
ALTER TABLE {schema}.answers ADD COLUMN times int NOT NULL DEFAULT 1;
