-- URLs somebody asks us to look at, and the queue of the report worker: due_at is when to look (again), a lease hides the row.
CREATE TABLE {schema}.reports (
    report_id       uuid PRIMARY KEY,
    organisation_id text NOT NULL,
    person_id       text NOT NULL,
    url             text NOT NULL,
    url_key         text NOT NULL,
    key_version     integer NOT NULL,
    case_ref        text,
    content_id      uuid REFERENCES {schema}.content ON DELETE SET NULL,
    asserted        boolean NOT NULL,
    fetch_when      text NOT NULL CHECK (fetch_when IN ('now', 'never')),
    state           text NOT NULL DEFAULT 'queued'
                    CHECK (state IN ('queued', 'fetched', 'matched', 'no_match', 'no_media', 'unreachable', 'refused')),
    why             text,
    attempts        integer NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL DEFAULT now(),
    created_at      timestamptz NOT NULL DEFAULT now(),
    changed_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX reports_due ON {schema}.reports (due_at) WHERE state = 'queued';
CREATE INDEX reports_page ON {schema}.reports (organisation_id, created_at DESC, report_id DESC);
CREATE INDEX reports_content ON {schema}.reports (content_id) WHERE content_id IS NOT NULL;
CREATE INDEX reports_case ON {schema}.reports (organisation_id, case_ref) WHERE case_ref IS NOT NULL;

-- The sightings a report became; settled when the matcher has said match or none.
CREATE TABLE {schema}.report_sightings (
    report_id   uuid NOT NULL REFERENCES {schema}.reports ON DELETE CASCADE,
    sighting_id uuid NOT NULL,
    settled     boolean NOT NULL DEFAULT false,
    PRIMARY KEY (report_id, sighting_id)
);

-- The takedowns a report led to. Shown to an organisation for content it has a live claim on.
CREATE TABLE {schema}.report_takedowns (
    report_id   uuid NOT NULL REFERENCES {schema}.reports ON DELETE CASCADE,
    takedown_id uuid NOT NULL,
    content_id  uuid NOT NULL,
    PRIMARY KEY (report_id, takedown_id)
);
CREATE INDEX report_takedowns_content ON {schema}.report_takedowns (content_id);

-- The URLs a content was matched at: what a withdrawal has to erase.
CREATE TABLE {schema}.matched_urls (
    content_id  uuid NOT NULL,
    url_key     text NOT NULL,
    key_version integer NOT NULL,
    PRIMARY KEY (content_id, url_key, key_version)
);
CREATE INDEX matched_urls_key ON {schema}.matched_urls (md5(url_key));

-- Erasures on the log. url_key NULL: the match records of the content. A row with a URL has two steps: tell the matchers and
-- clear the log (told_at), then, when every matcher has had time to read it, forget the telling itself, and the row.
CREATE TABLE {schema}.erasures (
    erasure_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    content_id  uuid NOT NULL,
    url_key     text,
    key_version integer,
    created_at  timestamptz NOT NULL DEFAULT now(),
    told_at     timestamptz
);
