-- A withdrawal erases the claim's case reference from the answers kept for an Idempotency-Key too.
CREATE INDEX idempotency_claim ON {schema}.idempotency ((answer ->> 'claim_id'));
