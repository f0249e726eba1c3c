"""The table `reports`: the queue of the worker, and what became of each report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from services.intake.store.matched_urls import NEEDED_BY_ANOTHER
from services.intake.store.rejections import IS_REJECTED
from services.intake.store.report_sightings import URLS_OF_GONE
from shared.db.due_rows import DueTable
from shared.db.pool import Row, Tx
from shared.db.wakeups import notify

REPORTS_WAKEUP = "intake_reports"

_RESCHEDULE = """
UPDATE intake.reports SET due_at = clock_timestamp() + %(wait)s, lease_id = NULL, lease_until = NULL, failures = 0
WHERE report_id = %(report_id)s AND attempts = %(attempt)s AND state = 'queued'
"""

_FINISH = """
UPDATE intake.reports SET state = %(state)s, why = %(why)s, changed_at = now(), lease_id = NULL, lease_until = NULL
WHERE report_id = %(report_id)s AND attempts = %(attempt)s AND state = 'queued' RETURNING 1 AS done
"""

# Matched as soon as one sighting is, so that a takedown comes of it; no_match only when all have been answered for.
_SETTLE = """
UPDATE intake.reports r SET state = s.state, changed_at = now()
FROM (SELECT CASE WHEN EXISTS (SELECT 1 FROM intake.report_takedowns WHERE report_id = %(report_id)s AND guards = '{}')
                  THEN 'matched'
                  WHEN NOT EXISTS (SELECT 1 FROM intake.report_sightings WHERE report_id = %(report_id)s AND NOT settled)
                  THEN 'no_match' END AS state) s
WHERE r.report_id = %(report_id)s AND r.state IN ('fetched', 'no_match') AND s.state IS NOT NULL AND r.state <> s.state
RETURNING s.state
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A report that a worker has claimed. `attempt` counts from 1, and is the worker's claim on it: a later one supersedes."""

    report_id: UUID
    organisation_id: str
    person_id: str
    url: str
    content_id: UUID | None
    asserted: bool
    fetch: bool
    attempt: int
    reported_by: str | None = None
    """Stands for the API key it came by; None: nobody noted it then."""


def _taken(row: Row) -> Taken:
    return Taken(
        report_id=row["report_id"],
        organisation_id=row["organisation_id"],
        person_id=row["person_id"],
        url=row["url"],
        content_id=row["content_id"],
        asserted=row["asserted"],
        fetch=row["fetch_when"] == "now",
        attempt=row["attempts"],
        reported_by=row["reported_by"],
    )


REPORTS = DueTable(
    "intake.reports",
    key=("report_id",),
    waiting="d.state = 'queued'",
    claiming="attempts = d.attempts + 1",
    returning="d.organisation_id, d.person_id, d.url, d.content_id, d.asserted, d.fetch_when, d.attempts, d.reported_by",
    job=_taken,
)


async def reschedule_report(tx: Tx, report: Taken, wait: timedelta) -> None:
    """Make a report due again after `wait`."""
    await tx.execute(_RESCHEDULE, {"wait": wait, "report_id": report.report_id, "attempt": report.attempt})


async def is_taken(tx: Tx, report: Taken) -> bool:
    """Whether the report is still this worker's. False: another has it by now, or it is erased."""
    cursor = await tx.execute(
        "SELECT 1 FROM intake.reports WHERE report_id = %s AND attempts = %s AND state = 'queued'",
        (report.report_id, report.attempt),
    )
    return await cursor.fetchone() is not None


async def finish_report(tx: Tx, report: Taken, state: str, why: str | None) -> bool:
    """End a report, which leaves the queue. False when another worker has it by now, or it is erased."""
    cursor = await tx.execute(
        _FINISH, {"state": state, "why": why, "report_id": report.report_id, "attempt": report.attempt}
    )
    return await cursor.fetchone() is not None


async def settle_report(tx: Tx, report_id: UUID) -> str | None:
    """Bring a fetched report to `matched` or `no_match` where that is known; the new state, or None."""
    # Two last answers at once would each find the other's open.
    await tx.execute("SELECT 1 FROM intake.reports WHERE report_id = %s FOR NO KEY UPDATE", (report_id,))
    row = await (await tx.execute(_SETTLE, {"report_id": report_id})).fetchone()
    return None if row is None else row["state"]


async def wake_worker(tx: Tx) -> None:
    """Wake the report worker at the commit: a report is due."""
    await notify(tx, REPORTS_WAKEUP)


_INSERT = """
INSERT INTO intake.reports (report_id, organisation_id, person_id, url, url_key, key_version, case_ref, content_id,
    asserted, fetch_when, reported_by)
VALUES (%(report_id)s, %(organisation_id)s, %(person_id)s, %(url)s, %(url_key)s, %(key_version)s, %(case_ref)s,
    %(content_id)s, %(asserted)s, %(fetch)s, %(reported_by)s)
"""


async def insert_report(tx: Tx, **values: object) -> None:
    """Insert a report, due now."""
    await tx.execute(_INSERT, values)
    await wake_worker(tx)


# An organisation is shown takedowns of content it has a live claim on, and of no other: `shown_state` too is computed from
# those alone, so `no_match` says that it agrees with no content of theirs, or (`guards`) not so that anything is done; and `rejected`
# that a person said that it is another picture.
_SHOWN = f"""
SELECT * FROM (
    SELECT r.*, a.alias, own.takedown_ids, own.guards,
        CASE WHEN r.state NOT IN ('fetched', 'matched', 'no_match') THEN r.state
             WHEN cardinality(own.takedown_ids) > 0 THEN 'matched'
             WHEN own.rejected THEN 'rejected'
             WHEN r.state = 'fetched' OR EXISTS (SELECT 1 FROM intake.report_sightings s
                                                 WHERE s.report_id = r.report_id AND NOT s.settled) THEN 'fetched'
             ELSE 'no_match' END AS shown_state
    FROM intake.reports r
    LEFT JOIN intake.content_alias a ON a.content_id = r.content_id AND a.organisation_id = r.organisation_id
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(t.takedown_id ORDER BY t.takedown_id)
                            FILTER (WHERE t.guards = '{{}}' AND NOT {IS_REJECTED}), '{{}}') AS takedown_ids,
            bool_or(t.guards = '{{}}' AND {IS_REJECTED}) AS rejected,
            string_agg(array_to_string(t.guards, ','), ',') AS guards
        FROM intake.report_takedowns t
        WHERE t.report_id = r.report_id AND EXISTS (
            SELECT 1 FROM intake.claims c WHERE c.content_id = t.content_id AND c.organisation_id = r.organisation_id
                AND c.state IN ('confirmed', 'withdrawing'))) own
    WHERE r.organisation_id = %(organisation)s
) AS r
"""
_ONE = _SHOWN + " WHERE r.report_id = %(report_id)s"
_LIST = (
    _SHOWN
    + """
WHERE (%(state)s::text IS NULL OR r.shown_state = %(state)s)
  AND (%(case_ref)s::text IS NULL OR r.case_ref = %(case_ref)s)
  AND (%(after_at)s::timestamptz IS NULL OR (r.created_at, r.report_id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY r.created_at DESC, r.report_id DESC LIMIT %(limit)s
"""
)


async def report_of_organisation(tx: Tx, organisation_id: str, report_id: UUID) -> Row | None:
    """One report of the organisation, with the takedowns that it may be shown."""
    return await (await tx.execute(_ONE, {"organisation": organisation_id, "report_id": report_id})).fetchone()


async def reports_page(tx: Tx, **asked: object) -> list[Row]:
    """The organisation's reports, newest first."""
    return await (await tx.execute(_LIST, asked)).fetchall()


# Of the claim's case, where no other live claim of the organisation is of that case.
_DELETE_OF_CLAIM = f"""
WITH gone AS (
DELETE FROM intake.reports r USING intake.claims c
WHERE c.claim_id = %(claim_id)s AND r.organisation_id = c.organisation_id AND r.case_ref = c.case_ref
  AND NOT EXISTS (SELECT 1 FROM intake.claims o WHERE o.organisation_id = c.organisation_id
                  AND o.case_ref = c.case_ref AND o.claim_id <> c.claim_id AND o.state <> 'withdrawn')
RETURNING r.report_id, r.url_key, r.key_version
) {URLS_OF_GONE}
"""
_DELETE_OF_DRAFT = f"""
WITH gone AS (
DELETE FROM intake.reports r WHERE r.organisation_id = %(organisation)s AND r.case_ref = %(case_ref)s
RETURNING r.report_id, r.url_key, r.key_version
) {URLS_OF_GONE}
"""
_DELETE_OF_CONTENT = f"""
WITH gone AS (
DELETE FROM intake.reports r WHERE r.content_id = %(content_id)s
   OR (EXISTS (SELECT 1 FROM intake.report_takedowns t WHERE t.report_id = r.report_id AND t.content_id = %(content_id)s)
       AND NOT EXISTS (SELECT 1 FROM intake.report_takedowns t JOIN intake.content k USING (content_id)
                       WHERE t.report_id = r.report_id AND t.content_id <> %(content_id)s AND k.state <> 'withdrawn'))
RETURNING r.report_id, r.url_key, r.key_version
) {URLS_OF_GONE}
"""
# What was found out of a report of such a URL is kept no longer than the URL itself. One that is still followed goes on: it may
# be of another content.
_DELETE_OF_URLS = f"""
DELETE FROM intake.reports r USING intake.matched_urls m
WHERE m.content_id = %(content_id)s AND r.url_key = m.url_key AND r.key_version = m.key_version
  AND r.state NOT IN ('queued', 'fetched')
  AND NOT EXISTS (SELECT 1 FROM intake.content k WHERE k.content_id = r.content_id AND k.content_id <> m.content_id
                    AND k.state <> 'withdrawn')
  AND NOT {NEEDED_BY_ANOTHER.format(url_key="m.url_key", key_version="m.key_version", content_id="m.content_id")}
"""
_DELETE_UNMATCHED = "DELETE FROM intake.reports WHERE report_id = %s AND state = 'no_match'"
_DELETE_OLD = """
DELETE FROM intake.reports r WHERE r.created_at <= statement_timestamp() - %s::interval AND NOT EXISTS (
    SELECT 1 FROM intake.cases k WHERE k.organisation_id = r.organisation_id AND k.case_ref = r.case_ref)
"""
_OF_PAUSED_CASE = """
SELECT 1 FROM intake.reports r WHERE r.report_id = %s AND EXISTS (
    SELECT 1 FROM intake.cases k WHERE k.organisation_id = r.organisation_id AND k.case_ref = r.case_ref
    AND k.paused_at IS NOT NULL)
"""
_QUEUE_AGAIN = """
UPDATE intake.reports SET state = 'queued', why = NULL, due_at = now(), changed_at = now()
WHERE organisation_id = %s AND case_ref = %s AND state = 'refused' AND why = %s
"""
_UNDER_WAY = """
SELECT report_id FROM intake.reports
WHERE organisation_id = %s AND md5(url_key) = md5(%s) AND url_key = %s AND case_ref IS NOT DISTINCT FROM %s
  AND content_id IS NOT DISTINCT FROM %s AND asserted = %s AND state IN ('queued', 'fetched') LIMIT 1
"""

CASE_PAUSED = "case_paused"
"""Why a report is refused whose case is paused; it is queued again when that goes on."""


UrlKey = tuple[str, int]
"""A URL's key and the version of the rules that made it."""


async def delete_reports_of_claim(tx: Tx, claim_id: UUID) -> list[UrlKey]:
    """Delete the reports of the claim's case, unless another live claim of the organisation is of that case. Gives the URLs that were
    seen for them."""
    return _urls(await (await tx.execute(_DELETE_OF_CLAIM, {"claim_id": claim_id})).fetchall())


async def delete_reports_of_content(tx: Tx, content_id: UUID) -> list[UrlKey]:
    """Delete the reports that name the content, led to its takedowns alone, or are of a URL that only it was matched at. Gives the URLs
    that were seen for the first two; the last is known."""
    urls = _urls(await (await tx.execute(_DELETE_OF_CONTENT, {"content_id": content_id})).fetchall())
    await tx.execute(_DELETE_OF_URLS, {"content_id": content_id})
    return urls


def _urls(rows: list[Row]) -> list[UrlKey]:
    return [(row["url_key"], row["key_version"]) for row in rows]


async def delete_unmatched_report(tx: Tx, report_id: UUID) -> None:
    """Delete a report that came to nothing."""
    await tx.execute(_DELETE_UNMATCHED, (report_id,))


async def delete_reports_of_draft(tx: Tx, organisation_id: str, case_ref: str | None) -> list[UrlKey]:
    """Delete the reports of a case of which nothing was declared. Gives the URLs that were seen for them."""
    asked = {"organisation": organisation_id, "case_ref": case_ref}
    return _urls(await (await tx.execute(_DELETE_OF_DRAFT, asked)).fetchall())


async def is_of_paused_case(tx: Tx, report_id: UUID) -> bool:
    return await (await tx.execute(_OF_PAUSED_CASE, (report_id,))).fetchone() is not None


async def queue_again(tx: Tx, organisation_id: str, case_ref: str) -> None:
    """The case goes on: what was refused because it was paused is due now."""
    await tx.execute(_QUEUE_AGAIN, (organisation_id, case_ref, CASE_PAUSED))
    await wake_worker(tx)


async def report_under_way(
    tx: Tx, organisation_id: str, url_key: str, *, case_ref: str | None, content_id: UUID | None, asserted: bool
) -> UUID | None:
    """The report that asks for the same thing and is not done with yet, if there is one."""
    asked = (organisation_id, url_key, url_key, case_ref, content_id, asserted)
    row = await (await tx.execute(_UNDER_WAY, asked)).fetchone()
    return None if row is None else row["report_id"]


async def delete_old_reports(tx: Tx, age: timedelta) -> None:
    """Delete old reports of no case; the others live as long as their case."""
    await tx.execute(_DELETE_OLD, (age,))
