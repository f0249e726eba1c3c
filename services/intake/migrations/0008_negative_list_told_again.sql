-- The notifier keeps the negative list too, and has passed over the entries told before: each is told once more.
INSERT INTO {schema}.outbox (outbox_id, topic, key)
SELECT gen_random_uuid(), 'takedown.content', entry_id::text FROM {schema}.negative_list WHERE confirmed_at IS NOT NULL;
