-- One row a content. A writer of anything that belongs to a content holds this row's lock first, then reads the claims.
-- revision 0: never published. hold: a suspension that outlives every change of the claims, until somebody resumes.
CREATE TABLE {schema}.content (
    content_id    uuid PRIMARY KEY,
    revision      bigint NOT NULL DEFAULT 0,
    state         text NOT NULL DEFAULT 'awaiting_confirmation'
                  CHECK (state IN ('awaiting_confirmation', 'active', 'suspended', 'withdrawn')),
    hold          text CHECK (hold IN ('person', 'key', 'possible_minor')),
    suspended_for text,
    withdrawn_for text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    withdrawn_at  timestamptz
);
CREATE INDEX content_withdrawn ON {schema}.content (withdrawn_at) WHERE withdrawn_at IS NOT NULL;

-- One row a claim. The case reference lives here (and in reports) alone, and is NULL once the claim is withdrawn.
-- declared_*/confirmed_*: the two steps of the four eyes. withdrawal_due: when a withdrawal becomes final by itself.
CREATE TABLE {schema}.claims (
    claim_id              uuid PRIMARY KEY,
    content_id            uuid NOT NULL REFERENCES {schema}.content,
    organisation_id       text NOT NULL,
    case_ref              text,
    revision              bigint NOT NULL DEFAULT 0,
    state                 text NOT NULL DEFAULT 'awaiting_confirmation'
                          CHECK (state IN ('awaiting_confirmation', 'confirmed', 'withdrawing', 'withdrawn')),
    declaration           jsonb,
    declared_by           text NOT NULL,
    declared_key          uuid NOT NULL,
    declared_assurance    text NOT NULL,
    confirmed_by          text,
    confirmed_key         uuid,
    confirmed_assurance   text,
    confirmed_at          timestamptz,
    assurance             text,
    subject_jurisdictions text[] NOT NULL DEFAULT '{}',
    do_not_contact        text[] NOT NULL DEFAULT '{}',
    demands_not_before    timestamptz,
    withdrawal_reason     text,
    withdrawn_by          text,
    withdrawal_due        timestamptz,
    withdrawn_at          timestamptz,
    created_at            timestamptz NOT NULL DEFAULT now(),
    changed_at            timestamptz NOT NULL DEFAULT now(),
    CHECK (confirmed_by IS NULL OR confirmed_by <> declared_by)
);
CREATE INDEX claims_content ON {schema}.claims (content_id);
CREATE INDEX claims_page ON {schema}.claims (organisation_id, created_at DESC, claim_id DESC);
CREATE INDEX claims_case ON {schema}.claims (organisation_id, case_ref) WHERE case_ref IS NOT NULL;
CREATE INDEX claims_due ON {schema}.claims (withdrawal_due) WHERE state = 'withdrawing';
CREATE INDEX claims_unconfirmed ON {schema}.claims (created_at) WHERE state = 'awaiting_confirmation';
CREATE INDEX claims_withdrawn ON {schema}.claims (withdrawn_at) WHERE state = 'withdrawn';

-- Fingerprints added to a claim later; they count once another person has confirmed them.
CREATE TABLE {schema}.variants (
    variant_id          uuid PRIMARY KEY,
    claim_id            uuid NOT NULL REFERENCES {schema}.claims ON DELETE CASCADE,
    added_by            text NOT NULL,
    added_key           uuid NOT NULL,
    added_assurance     text NOT NULL,
    confirmed_by        text,
    confirmed_key       uuid,
    confirmed_assurance text,
    confirmed_at        timestamptz,
    assurance           text,
    created_at          timestamptz NOT NULL DEFAULT now(),
    CHECK (confirmed_by IS NULL OR confirmed_by <> added_by)
);
CREATE INDEX variants_claim ON {schema}.variants (claim_id);
CREATE INDEX variants_unconfirmed ON {schema}.variants (created_at) WHERE confirmed_by IS NULL;

-- The fingerprints of a claim; erased with its withdrawal.
CREATE TABLE {schema}.fingerprints (
    fingerprint_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    claim_id       uuid NOT NULL REFERENCES {schema}.claims ON DELETE CASCADE,
    variant_id     uuid REFERENCES {schema}.variants ON DELETE CASCADE,
    algorithm      text NOT NULL,
    value          bytea NOT NULL,
    quality        integer,
    origin         text NOT NULL,
    orientation    text NOT NULL,
    UNIQUE (claim_id, algorithm, value)
);
CREATE INDEX fingerprints_known ON {schema}.fingerprints (algorithm, value);
CREATE INDEX fingerprints_variant ON {schema}.fingerprints (variant_id) WHERE variant_id IS NOT NULL;

-- What an organisation is shown as a content's id.
CREATE TABLE {schema}.content_alias (
    organisation_id text NOT NULL,
    alias           uuid NOT NULL,
    content_id      uuid NOT NULL REFERENCES {schema}.content ON DELETE CASCADE,
    PRIMARY KEY (organisation_id, alias),
    UNIQUE (content_id, organisation_id)
);

-- Answers already given, by a keyed digest of (organisation, key). Digests and ids alone, kept for 7 days. json, not jsonb:
-- the same answer is the same text.
CREATE TABLE {schema}.idempotency (
    key_digest  bytea PRIMARY KEY,
    body_digest bytea NOT NULL,
    status      integer,
    answer      json,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_age ON {schema}.idempotency (created_at);
