-- A case, as a helpline works on it. Claims and reports belong to it by their case_ref. `sealed`: all that was written of the people in it,
-- encrypted; NULL: nothing was asked. opened_at NULL: a draft, without a claim yet. `digest`: a keyed digest of organisation and case_ref,
-- which is what is kept of a case that has ended.
CREATE TABLE {schema}.cases (
    case_id         uuid PRIMARY KEY,
    organisation_id text NOT NULL,
    case_ref        text,
    digest          bytea,
    owner           text NOT NULL,
    urgency         integer NOT NULL DEFAULT 0,
    next_contact_at timestamptz,
    review_on       date,
    sealed          bytea,
    version         integer NOT NULL DEFAULT 1,
    opened_at       timestamptz,
    paused_at       timestamptz,
    paused_for      text CHECK (paused_for IN ('caller', 'possible_minor')),
    created_at      timestamptz NOT NULL DEFAULT now(),
    changed_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE (organisation_id, case_ref)
);
CREATE INDEX cases_owner ON {schema}.cases (organisation_id, owner);
CREATE INDEX cases_drafts ON {schema}.cases (changed_at) WHERE opened_at IS NULL;
-- Cases from before there were rows of them. Nothing is kept of these when they end, unless somebody opens them before.
INSERT INTO {schema}.cases (case_id, organisation_id, case_ref, owner, opened_at, created_at)
SELECT gen_random_uuid(), organisation_id, case_ref, (array_agg(declared_by ORDER BY created_at, claim_id))[1], min(created_at),
    min(created_at)
FROM {schema}.claims WHERE case_ref IS NOT NULL AND state <> 'withdrawn' GROUP BY organisation_id, case_ref;

-- What a caller who asks again can be told of a case that has ended: why, and when.
CREATE TABLE {schema}.ended_cases (
    digest   bytea PRIMARY KEY,
    reason   text NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ended_cases_age ON {schema}.ended_cases (ended_at);

-- Where a link was reported, to find its case by a site.
CREATE INDEX reports_url ON {schema}.reports (organisation_id, md5(url_key));
