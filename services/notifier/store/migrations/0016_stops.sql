-- What was stopped here, and `content` did not say so yet, before there were stops.
INSERT INTO access.stops (content_id, stopped_by, reason)
SELECT content_id, 'notifier', CASE WHEN suspended_here_for = 'possible_minor' THEN 'possible_minor' ELSE 'suspended' END
FROM {schema}.content WHERE suspended_here_for IS NOT NULL AND state = 'active' ON CONFLICT DO NOTHING;
INSERT INTO access.stops (content_id, stopped_by, reason)
SELECT content_id, 'notifier.fetching', 'fetching'
FROM {schema}.content WHERE (fetching_stopped OR fetching_stopped_here) AND state IS DISTINCT FROM 'withdrawn' ON CONFLICT DO NOTHING;
