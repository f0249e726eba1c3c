-- One row per content for ever: locked FOR SHARE by what happens to its takedowns, FOR UPDATE by what happens to it.
-- state NULL: a match overtook it. Fingerprints only while it can be checked; erased at withdrawal.
CREATE TABLE {schema}.content (
    content_id         uuid PRIMARY KEY,
    revision           bigint NOT NULL DEFAULT 0,
    state              text,
    suspended_for      text,
    withdrawn_for      text,
    fingerprints       jsonb NOT NULL DEFAULT '[]',
    -- A suspension decided here, until `content` itself says suspended.
    suspended_here_for text,
    -- A host claimed consent or disputes it: no demand that was not issued yet, until a person looked.
    new_demands_held   text,
    changed_at         timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE {schema}.claims (
    claim_id              uuid PRIMARY KEY,
    content_id            uuid NOT NULL,
    revision              bigint NOT NULL,
    state                 text NOT NULL,
    organisation_id       text NOT NULL,
    subject_jurisdictions text[] NOT NULL DEFAULT '{}',
    do_not_contact        text[] NOT NULL DEFAULT '{}',
    demands_not_before    timestamptz,
    withdrawal_reason     text,
    changed_at            timestamptz NOT NULL
);
CREATE INDEX claims_content ON {schema}.claims (content_id);
CREATE INDEX claims_organisation ON {schema}.claims (organisation_id);

-- The takedown: `data` is what `decide` keeps (states.to_json); the columns are what is asked for.
-- url, page_url, host, url_key are NULL once erased.
CREATE TABLE {schema}.takedowns (
    takedown_id     uuid PRIMARY KEY,
    content_id      uuid NOT NULL,
    target_kind     text NOT NULL,
    state           text NOT NULL,
    round           int NOT NULL,
    sequence        int NOT NULL,
    host            text,
    url             text,
    url_key         text,
    key_version     int NOT NULL,
    page_url        text,
    distance        int,
    fingerprint_ref text,
    data            jsonb NOT NULL,
    created_at      timestamptz NOT NULL,
    changed_at      timestamptz NOT NULL
);
CREATE INDEX takedowns_content ON {schema}.takedowns (content_id);
CREATE INDEX takedowns_newest ON {schema}.takedowns (created_at, takedown_id);
CREATE INDEX takedowns_state ON {schema}.takedowns (state);
CREATE INDEX takedowns_host ON {schema}.takedowns (host) WHERE host IS NOT NULL;

-- Demands of a takedown, for the token's look-up and for `overdue`. A token is kept as its SHA-256 alone.
CREATE TABLE {schema}.demands (
    demand_id   uuid PRIMARY KEY,
    takedown_id uuid NOT NULL REFERENCES {schema}.takedowns,
    token_hash  bytea NOT NULL UNIQUE,
    recipient   text NOT NULL,
    rung        text NOT NULL,
    round       int NOT NULL,
    state       text NOT NULL,
    regime      text NOT NULL,
    issued_at   timestamptz NOT NULL,
    delivered_at timestamptz,
    deadline    timestamptz
);
CREATE INDEX demands_takedown ON {schema}.demands (takedown_id);
CREATE INDEX demands_deadline ON {schema}.demands (deadline) WHERE deadline IS NOT NULL;

-- What recipients answered: one row an answer; a repeat of the same is one row. `details` is erased with the target.
CREATE TABLE {schema}.answers (
    answer_id   uuid PRIMARY KEY,
    demand_id   uuid NOT NULL REFERENCES {schema}.demands,
    takedown_id uuid NOT NULL,
    kind        text NOT NULL,
    reason      text,
    method      text,
    details     jsonb,
    via         text NOT NULL,
    received_at timestamptz NOT NULL
);
CREATE INDEX answers_takedown ON {schema}.answers (takedown_id);

-- The one check of a takedown that is to come.
CREATE TABLE {schema}.due_checks (
    takedown_id uuid PRIMARY KEY REFERENCES {schema}.takedowns,
    due_at      timestamptz NOT NULL,
    reason      text NOT NULL,
    host        text NOT NULL,
    lease_id    uuid,
    lease_owner text,
    lease_until timestamptz
);
CREATE INDEX due_checks_due ON {schema}.due_checks (due_at);

-- Checks made. URLs are erased with the target; what was seen, when, and from where stays.
CREATE TABLE {schema}.checks (
    check_id     uuid PRIMARY KEY,
    takedown_id  uuid NOT NULL REFERENCES {schema}.takedowns,
    reason       text NOT NULL,
    started_at   timestamptz NOT NULL,
    ended_at     timestamptz NOT NULL,
    outcome      text NOT NULL,
    page_outcome text,
    detail       text,
    vantage      text NOT NULL,
    address      text,
    status       int,
    page_status  int,
    final_url    text,
    content_type text,
    size_bytes   bigint,
    algorithm    text,
    distance     int,
    elapsed_ms   int NOT NULL
);
CREATE INDEX checks_takedown ON {schema}.checks (takedown_id, started_at);

-- Fingerprints fetched at the target of an asserted takedown; its reference once adopted.
CREATE TABLE {schema}.reference_fingerprints (
    takedown_id  uuid PRIMARY KEY REFERENCES {schema}.takedowns,
    fingerprints jsonb NOT NULL,
    adopted_at   timestamptz
);

-- Messages: `idle` is parked until named again; `accepted`, `failed` and `ended` get no further attempt.
CREATE TABLE {schema}.messages (
    message_id  uuid PRIMARY KEY,
    takedown_id uuid NOT NULL REFERENCES {schema}.takedowns,
    demand_id   uuid NOT NULL,
    recipient   text NOT NULL,
    kind        text NOT NULL,
    number      int NOT NULL,
    state       text NOT NULL CHECK (state IN ('due', 'idle', 'accepted', 'failed', 'ended')),
    reason      text,
    due_at      timestamptz NOT NULL,
    attempts    int NOT NULL DEFAULT 0,
    lease_id    uuid,
    lease_owner text,
    lease_until timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX messages_due ON {schema}.messages (due_at) WHERE state = 'due';
CREATE INDEX messages_takedown ON {schema}.messages (takedown_id);

-- Attempts: the row is there before the message leaves. outcome NULL: under way, or unknown once the lease is over.
CREATE TABLE {schema}.attempts (
    attempt_id  uuid PRIMARY KEY,
    message_id  uuid NOT NULL REFERENCES {schema}.messages,
    takedown_id uuid NOT NULL,
    number      int NOT NULL,
    channel     text NOT NULL,
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz,
    outcome     text,
    detail      text,
    status      int,
    address     text,
    body_sha256 bytea NOT NULL,
    elapsed_ms  int
);
CREATE INDEX attempts_message ON {schema}.attempts (message_id);
CREATE INDEX attempts_takedown ON {schema}.attempts (takedown_id);

CREATE TABLE {schema}.timers (
    takedown_id uuid NOT NULL REFERENCES {schema}.takedowns,
    kind        text NOT NULL,
    demand_id   uuid NOT NULL,
    number      int NOT NULL,
    due_at      timestamptz NOT NULL,
    PRIMARY KEY (takedown_id, kind, demand_id, number)
);
CREATE INDEX timers_due ON {schema}.timers (due_at);

-- What needs a person. A task of a whole content is shown once: the others are `joined_to` the first.
CREATE TABLE {schema}.tasks (
    task_id     uuid PRIMARY KEY,
    kind        text NOT NULL,
    scope       text NOT NULL,
    takedown_id uuid NOT NULL REFERENCES {schema}.takedowns,
    content_id  uuid NOT NULL,
    demand_id   uuid,
    joined_to   uuid REFERENCES {schema}.tasks,
    reason      text NOT NULL,
    owner       text NOT NULL,
    due_at      timestamptz NOT NULL,
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz,
    resolution  text
);
CREATE INDEX tasks_open ON {schema}.tasks (opened_at, task_id) WHERE closed_at IS NULL;
CREATE INDEX tasks_content ON {schema}.tasks (content_id, kind) WHERE closed_at IS NULL;
CREATE INDEX tasks_takedown ON {schema}.tasks (takedown_id);

-- Decisions applied: one that comes back over the log does nothing.
CREATE TABLE {schema}.decisions (
    decision_id     uuid PRIMARY KEY,
    kind            text NOT NULL,
    content_id      uuid,
    takedown_id     uuid,
    demand_id       uuid,
    task_id         uuid,
    person_id       text NOT NULL,
    organisation_id text NOT NULL,
    reason          text,
    decided_at      timestamptz NOT NULL
);
CREATE INDEX decisions_takedown ON {schema}.decisions (takedown_id);

-- What happened, as published on takedown.lifecycle: ids, counts and words.
CREATE TABLE {schema}.lifecycle (
    takedown_id uuid NOT NULL REFERENCES {schema}.takedowns,
    sequence    int NOT NULL,
    kind        text NOT NULL,
    state       text NOT NULL,
    round       int NOT NULL,
    at          timestamptz NOT NULL,
    facts       jsonb NOT NULL,
    PRIMARY KEY (takedown_id, sequence)
);

-- Matches that overtook their content or claim.
CREATE TABLE {schema}.waiting_matches (
    event_id   text PRIMARY KEY,
    content_id uuid NOT NULL,
    data       bytea NOT NULL,
    arrived_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX waiting_matches_content ON {schema}.waiting_matches (content_id);

-- The negative list, for ever and at every URL.
CREATE TABLE {schema}.rejections (
    content_id      uuid NOT NULL,
    fingerprint_ref text NOT NULL,
    rejected_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (content_id, fingerprint_ref)
);

-- The directory.
CREATE TABLE {schema}.hosts (
    organisation    text PRIMARY KEY,
    name            text NOT NULL,
    rung            text NOT NULL,
    webhook_url     text,
    webhook_secrets bytea[] NOT NULL DEFAULT '{}',
    secrets_digest  bytea,
    email           text,
    next_rung       text,
    posture         text NOT NULL,
    bound_by        text[] NOT NULL DEFAULT '{}',
    webhook_gone_at timestamptz,
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE {schema}.host_domains (
    domain       text PRIMARY KEY,
    organisation text NOT NULL REFERENCES {schema}.hosts
);
CREATE INDEX host_domains_organisation ON {schema}.host_domains (organisation);

-- Messages to these domains wait. Checks go on.
CREATE TABLE {schema}.holds (
    domain  text PRIMARY KEY,
    held_by text NOT NULL,
    held_at timestamptz NOT NULL DEFAULT now()
);

-- One row, read before every attempt.
CREATE TABLE {schema}.outbound (
    one_row    boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    is_on      boolean NOT NULL,
    changed_by text,
    changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO {schema}.outbound (is_on) VALUES (false);
