-- What a demand may say of a claim: in which capacity it was declared, that authority is on record, and whether hosts are asked to
-- preserve evidence. Claims that were told before are told once more.
ALTER TABLE {schema}.claims
    ADD COLUMN declared_as        text CHECK (declared_as IN ('subject', 'authorised_representative', 'legal_guardian')),
    ADD COLUMN authority_recorded boolean NOT NULL DEFAULT false,
    ADD COLUMN evidence_wanted    boolean NOT NULL DEFAULT false;
UPDATE {schema}.claims SET declared_as = declaration ->> 'declared_as',
    authority_recorded = coalesce((declaration ->> 'authority_recorded')::boolean, false)
WHERE declaration IS NOT NULL;
WITH told AS (
    UPDATE {schema}.claims SET revision = revision + 1 WHERE revision > 0 AND state <> 'withdrawn' RETURNING claim_id
)
INSERT INTO {schema}.outbox (outbox_id, topic, key) SELECT gen_random_uuid(), 'takedown.claims', claim_id::text FROM told;
