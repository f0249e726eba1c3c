"""Reports in tables: the queue of the worker, and what became of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from shared.db.due_rows import DueTable
from shared.db.pool import Row, Tx
from shared.db.wakeups import notify

CHANNEL = "intake_reports"

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
    """A report in a worker's hands. `attempt` counts from 1, and is the worker's claim on it: a later one supersedes."""

    report_id: UUID
    organisation_id: str
    person_id: str
    url: str
    content_id: UUID | None
    asserted: bool
    fetch: bool
    attempt: int


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
    )


REPORTS = DueTable(
    "intake.reports",
    key=("report_id",),
    waiting="d.state = 'queued'",
    claiming="attempts = d.attempts + 1",
    returning="d.organisation_id, d.person_id, d.url, d.content_id, d.asserted, d.fetch_when, d.attempts",
    job=_taken,
)


async def reschedule(tx: Tx, report: Taken, wait: timedelta) -> None:
    """Look again after `wait`."""
    await tx.execute(_RESCHEDULE, {"wait": wait, "report_id": report.report_id, "attempt": report.attempt})


async def is_taken(tx: Tx, report: Taken) -> bool:
    """Whether it is still this worker's. False: another has it by now, or it is erased."""
    cursor = await tx.execute(
        "SELECT 1 FROM intake.reports WHERE report_id = %s AND attempts = %s AND state = 'queued'",
        (report.report_id, report.attempt),
    )
    return await cursor.fetchone() is not None


async def plan_sightings(tx: Tx, report: Taken, sighting_ids: Collection[UUID]) -> bool:
    """Say which sightings are about to be published, before the matcher can answer for them. Replaces an earlier attempt's. False:
    the report is another worker's by now, or erased."""
    await tx.execute("DELETE FROM intake.report_sightings WHERE report_id = %s", (report.report_id,))
    planned = await tx.execute(
        "INSERT INTO intake.report_sightings (report_id, sighting_id)"
        " SELECT r.report_id, s FROM intake.reports r, unnest(%s::uuid[]) AS s"
        " WHERE r.report_id = %s AND r.attempts = %s AND r.state = 'queued'",
        (list(set(sighting_ids)), report.report_id, report.attempt),
    )
    return planned.rowcount > 0


async def finish(tx: Tx, report: Taken, state: str, why: str | None) -> bool:
    """Leave the queue. False when another worker has it by now, or it is erased."""
    cursor = await tx.execute(
        _FINISH, {"state": state, "why": why, "report_id": report.report_id, "attempt": report.attempt}
    )
    return await cursor.fetchone() is not None


async def add_takedown(
    tx: Tx, report_id: UUID, takedown_id: UUID, content_id: UUID, *, guards: Collection[str] = ()
) -> None:
    """The report led to this takedown; with `guards`, to a match of which none comes. Nothing happens for a report that is erased."""
    await tx.execute(
        "INSERT INTO intake.report_takedowns AS known (report_id, takedown_id, content_id, guards)"
        " SELECT report_id, %s, %s, %s FROM intake.reports WHERE report_id = %s"
        " ON CONFLICT (report_id, takedown_id) DO UPDATE SET guards = '{}' WHERE excluded.guards = '{}'",
        (takedown_id, content_id, sorted(guards), report_id),
    )


async def answered(tx: Tx, report_id: UUID, sighting_id: UUID) -> None:
    """The matcher has answered for this sighting."""
    await tx.execute(
        "UPDATE intake.report_sightings SET settled = true WHERE report_id = %s AND sighting_id = %s",
        (report_id, sighting_id),
    )


async def settle(tx: Tx, report_id: UUID) -> str | None:
    """Bring a fetched report to `matched` or `no_match` where that is known; the new state, or None."""
    # Two last answers at once would each find the other's open.
    await tx.execute("SELECT 1 FROM intake.reports WHERE report_id = %s FOR NO KEY UPDATE", (report_id,))
    row = await (await tx.execute(_SETTLE, {"report_id": report_id})).fetchone()
    return None if row is None else row["state"]


async def wake_worker(tx: Tx) -> None:
    """A report is due."""
    await notify(tx, CHANNEL)


_INSERT = """
INSERT INTO intake.reports (report_id, organisation_id, person_id, url, url_key, key_version, case_ref, content_id,
    asserted, fetch_when)
VALUES (%(report_id)s, %(organisation_id)s, %(person_id)s, %(url)s, %(url_key)s, %(key_version)s, %(case_ref)s,
    %(content_id)s, %(asserted)s, %(fetch)s)
"""


async def insert(tx: Tx, **values: object) -> None:
    """A new report, due now."""
    await tx.execute(_INSERT, values)
    await wake_worker(tx)


# An organisation is told of takedowns of content it has a live claim on, and of no other: `shown_state` too is computed from
# those alone, so `no_match` says that it agrees with no content of theirs, or (`guards`) not so that anything is done.
_SHOWN = """
SELECT * FROM (
    SELECT r.*, a.alias, own.takedown_ids, own.guards,
        CASE WHEN r.state NOT IN ('fetched', 'matched', 'no_match') THEN r.state
             WHEN cardinality(own.takedown_ids) > 0 THEN 'matched'
             WHEN r.state = 'fetched' OR EXISTS (SELECT 1 FROM intake.report_sightings s
                                                 WHERE s.report_id = r.report_id AND NOT s.settled) THEN 'fetched'
             ELSE 'no_match' END AS shown_state
    FROM intake.reports r
    LEFT JOIN intake.content_alias a ON a.content_id = r.content_id AND a.organisation_id = r.organisation_id
    CROSS JOIN LATERAL (
        SELECT coalesce(array_agg(t.takedown_id ORDER BY t.takedown_id) FILTER (WHERE t.guards = '{}'), '{}') AS takedown_ids,
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


async def shown(tx: Tx, organisation_id: str, report_id: UUID) -> Row | None:
    """One report of the organisation, with the takedowns it may be told of."""
    return await (await tx.execute(_ONE, {"organisation": organisation_id, "report_id": report_id})).fetchone()


async def list_shown(tx: Tx, **asked: object) -> list[Row]:
    """The organisation's reports, newest first."""
    return await (await tx.execute(_LIST, asked)).fetchall()
