-- Who may do what: organisations, people (opaque ids), keys (their SHA-256 alone).
CREATE TABLE {schema}.keys (
    key_id          uuid PRIMARY KEY,
    key_hash        bytea NOT NULL UNIQUE,
    person_id       text NOT NULL,
    organisation_id text NOT NULL,
    role            text NOT NULL CHECK (role IN ('helpline', 'crawler', 'operations', 'reader')),
    label           text NOT NULL DEFAULT '',
    created_at      timestamptz NOT NULL DEFAULT now(),
    revoked_at      timestamptz
);

-- Append-only: person, action, object, time. No URL, no fingerprint, no case reference.
CREATE TABLE {schema}.audit (
    audit_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL DEFAULT now(),
    person_id       text NOT NULL,
    organisation_id text NOT NULL,
    key_id          uuid,
    action          text NOT NULL,
    object_kind     text NOT NULL,
    object_id       text NOT NULL
);
CREATE INDEX audit_object ON {schema}.audit (object_kind, object_id);
CREATE FUNCTION {schema}.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit table is append-only'; END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.audit
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.refuse_change();
