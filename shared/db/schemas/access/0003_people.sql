-- The only source of a person's id, for keys and for those who sign in: an account and a key of one person are one person to the
-- four eyes. `role`: what the person may do when signed in; none, who has keys alone.
CREATE TABLE {schema}.people (
    organisation_id text NOT NULL,
    person_id       text NOT NULL,
    role            text CHECK (role IN ('helpline', 'operations')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    disabled_at     timestamptz,
    PRIMARY KEY (organisation_id, person_id)
);
INSERT INTO {schema}.people (organisation_id, person_id, created_at)
    SELECT organisation_id, person_id, min(created_at) FROM {schema}.keys GROUP BY organisation_id, person_id;

-- A session is a key that ends by itself: at `expires_at`, or when nobody used it for a while.
ALTER TABLE {schema}.keys
    ADD COLUMN kind text NOT NULL DEFAULT 'api' CHECK (kind IN ('api', 'session')),
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN idle_at timestamptz,
    ADD CONSTRAINT session_ends CHECK (kind <> 'session' OR (expires_at IS NOT NULL AND idle_at IS NOT NULL)),
    ADD CONSTRAINT key_of_person FOREIGN KEY (organisation_id, person_id) REFERENCES {schema}.people;

-- One-time links to sign in with; of each its SHA-256 alone.
CREATE TABLE {schema}.invitations (
    token_hash      bytea PRIMARY KEY,
    organisation_id text NOT NULL,
    person_id       text NOT NULL,
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz,
    FOREIGN KEY (organisation_id, person_id) REFERENCES {schema}.people
);
