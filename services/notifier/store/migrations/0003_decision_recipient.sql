-- Whom a reroute asks: another recipient is another decision, also under the same Idempotency-Key.
ALTER TABLE {schema}.decisions ADD COLUMN recipient text;
