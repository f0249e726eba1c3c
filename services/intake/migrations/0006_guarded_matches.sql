-- Why a report's match is never acted on: there is no takedown of it. Empty: it is acted on.
ALTER TABLE {schema}.report_takedowns ADD COLUMN guards text[] NOT NULL DEFAULT '{}';
