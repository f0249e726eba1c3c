-- What a demand may say of its claims: that authority to act for a person depicted is on record, that two people have looked and
-- confirmed, that evidence is wanted. Of claims from before nothing is known until they are told again, so nothing is said.
ALTER TABLE {schema}.claims
    ADD COLUMN authority_recorded boolean NOT NULL DEFAULT false,
    ADD COLUMN two_confirmed      boolean NOT NULL DEFAULT false,
    ADD COLUMN evidence_wanted    boolean NOT NULL DEFAULT false;
