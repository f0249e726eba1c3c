-- What is due is claimed of each place, the oldest first: a place with a large backlog must hide no other's rows.
CREATE INDEX due_checks_of_host ON {schema}.due_checks (host, due_at);
CREATE INDEX messages_of_recipient ON {schema}.messages (recipient, due_at) WHERE state = 'due';
