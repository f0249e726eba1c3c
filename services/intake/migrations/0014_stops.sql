-- What was suspended or withdrawn before there were stops.
INSERT INTO access.stops (content_id, stopped_by, reason)
SELECT content_id, 'intake', CASE WHEN state = 'withdrawn' THEN 'withdrawn' ELSE coalesce(suspended_for, 'suspended') END
FROM {schema}.content WHERE state IN ('suspended', 'withdrawn') AND revision > 0
ON CONFLICT DO NOTHING;
