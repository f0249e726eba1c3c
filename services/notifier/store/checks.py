"""The tables `checks`, `due_checks` and `reference_fingerprints`: what was looked at, what is to be looked at and when, and what a person
took for the content at an asserted target."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.notifier.domain.model import Takedown
from shared.access.stops import is_stopped
from shared.contracts.decisions import DecisionTaken
from shared.db.due_rows import DueTable
from shared.db.pool import Row, Tx

# Its content is stopped, though its takedown may not have heard of it.
_STOPPED = f"""
({is_stopped("t.content_id")}
 OR EXISTS (SELECT 1 FROM notifier.content k WHERE k.content_id = t.content_id AND k.state IN ('suspended', 'withdrawn')))
"""

# Nothing of a job that was called off since it was claimed: its row is gone, or leased anew.
_WANTED = f"""
SELECT clock_timestamp() AS now, t.target_kind, t.url, t.page_url, t.state, t.removed_at,
       c.fingerprints, r.fingerprints AS reference, r.adopted_at,
       (t.last_outcome = 'present' AND t.match_basis = 'fingerprint') IS TRUE AS seen_before,
       (SELECT coalesce(array_agg(fingerprint_ref), '{{}}') FROM notifier.rejections x WHERE x.content_id = t.content_id) AS rejected,
       (SELECT coalesce(array_agg(value), '{{}}') FROM notifier.negative_list n WHERE n.algorithm = 'pdq' AND n.value IS NOT NULL)
           AS harmless
FROM notifier.takedowns t JOIN notifier.content c USING (content_id) JOIN notifier.due_checks d USING (takedown_id)
LEFT JOIN notifier.reference_fingerprints r USING (takedown_id)
WHERE t.takedown_id = %s AND d.lease_id = %s AND t.state NOT IN ('suspended', 'withdrawn') AND NOT {_STOPPED}
"""

_GO_ON = f"""
SELECT d.takedown_id FROM notifier.due_checks d JOIN notifier.takedowns t USING (takedown_id)
WHERE d.takedown_id = ANY(%s) AND NOT {_STOPPED}
"""

# The due check follows the takedown's own word. A look under way keeps its lease: what it sees is judged by its start.
_DUE_CHECK = """
INSERT INTO notifier.due_checks (takedown_id, due_at, reason, host) VALUES (%s, %s, %s, %s)
ON CONFLICT (takedown_id) DO UPDATE SET due_at = excluded.due_at,
    reason = CASE WHEN due_checks.due_at = excluded.due_at THEN due_checks.reason ELSE excluded.reason END
"""

_RECORD = """
INSERT INTO notifier.checks (check_id, takedown_id, reason, started_at, ended_at, outcome, page_outcome, detail, vantage,
    address, status, page_status, final_url, content_type, size_bytes, algorithm, distance, view, whole_distance, browser,
    fingerprint_refs, elapsed_ms)
VALUES (%(check_id)s, %(takedown_id)s, %(reason)s, %(started_at)s, clock_timestamp(), %(outcome)s, %(page_outcome)s,
    %(detail)s, %(vantage)s, %(address)s, %(status)s, %(page_status)s, %(final_url)s, %(content_type)s, %(size_bytes)s,
    %(algorithm)s, %(distance)s, %(view)s, %(whole_distance)s, %(browser)s, %(fingerprint_refs)s,
    (extract(epoch FROM clock_timestamp() - %(started_at)s) * 1000)::int)
"""

# What was fetched at an asserted target, until a person adopts it; afterwards it is the reference and stays.
_KEEP_SEEN = """
INSERT INTO notifier.reference_fingerprints (takedown_id, fingerprints) VALUES (%s, %s)
ON CONFLICT (takedown_id) DO UPDATE SET fingerprints = excluded.fingerprints
WHERE reference_fingerprints.adopted_at IS NULL
"""

_ADOPT = "UPDATE notifier.reference_fingerprints SET adopted_at = clock_timestamp() WHERE takedown_id = %s"

_LAST_LOOK = """
SELECT fingerprint_refs FROM notifier.checks WHERE takedown_id = %s AND fingerprint_refs IS NOT NULL ORDER BY started_at DESC LIMIT 1
"""

_FORGET: Sequence[str] = (
    "UPDATE notifier.checks SET final_url = NULL, address = NULL, content_type = NULL, size_bytes = NULL,"
    " fingerprint_refs = NULL"
    " WHERE takedown_id = %s",
    "DELETE FROM notifier.reference_fingerprints WHERE takedown_id = %s",
    "DELETE FROM notifier.due_checks WHERE takedown_id = %s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCheck:
    """A check that is due, claimed by a worker."""

    takedown_id: UUID
    content_id: UUID
    host: str
    reason: str
    lease_id: UUID


DUE_CHECKS = DueTable(
    "notifier.due_checks",
    key=("takedown_id",),
    place="d.host",
    many_of_a_place=True,
    beside="notifier.takedowns t",
    on="t.takedown_id = d.takedown_id",
    allowed=f"NOT {_STOPPED}",
    returning="d.host, d.reason, t.content_id",
    job=lambda row: DueCheck(**row),
)


async def keep_due_check(tx: Tx, takedown: Takedown, reason: str | None) -> None:
    """Bring the row of the one due check to what the takedown says."""
    if takedown.next_check is None or takedown.target is None:
        await tx.execute("DELETE FROM notifier.due_checks WHERE takedown_id = %s", (takedown.takedown_id,))
        return
    await tx.execute(
        _DUE_CHECK, (takedown.takedown_id, takedown.next_check.at, reason or "scheduled", takedown.target.host)
    )


async def read_due_check(tx: Tx, check: DueCheck) -> Row | None:
    """What to look for and where; None: the check was called off, leased anew, or its content is stopped."""
    return await (await tx.execute(_WANTED, (check.takedown_id, check.lease_id))).fetchone()


async def that_are_wanted(tx: Tx, takedown_ids: Collection[UUID]) -> set[UUID]:
    """Those of these takedowns that are still to be looked at."""
    cursor = await tx.execute(_GO_ON, (list(takedown_ids),))
    return {row["takedown_id"] for row in await cursor.fetchall()}


async def record(tx: Tx, values: Mapping[str, Any]) -> None:
    """Keep a check that was made. `values`: by the names of the columns."""
    await tx.execute(_RECORD, values)


async def keep_look(tx: Tx, decided: DecisionTaken) -> None:
    """A person's look stands among our own, with the vantage `person`."""
    await tx.execute(
        "INSERT INTO notifier.checks (check_id, takedown_id, reason, started_at, ended_at, outcome, detail, vantage, elapsed_ms)"
        " VALUES (%s, %s, 'person', %s, clock_timestamp(), %s, %s, 'person', 0)",
        (decided.decision_id, decided.takedown_id, decided.seen_at, decided.looked, decided.how),
    )


async def keep_seen(tx: Tx, takedown_id: UUID, fingerprints: Sequence[Mapping[str, object]]) -> None:
    """Keep what was fetched at an asserted target; what a person has adopted stays."""
    await tx.execute(_KEEP_SEEN, (takedown_id, Jsonb(fingerprints)))


async def adopt(tx: Tx, takedown_id: UUID) -> None:
    """What was fetched at an asserted target is the reference from now on: a person vouches for it."""
    # A page without media has no fingerprints to adopt; the row still says that a person vouched for it.
    await tx.execute(
        "INSERT INTO notifier.reference_fingerprints (takedown_id, fingerprints) VALUES (%s, '[]')"
        " ON CONFLICT DO NOTHING",
        (takedown_id,),
    )
    await tx.execute(_ADOPT, (takedown_id,))


async def refs_seen(tx: Tx, takedown_id: UUID) -> tuple[str, ...]:
    """What our last look at this takedown's target that saw the content, or nearly, saw it by."""
    row = await (await tx.execute(_LAST_LOOK, (takedown_id,))).fetchone()
    return () if row is None else tuple(row["fingerprint_refs"])


async def forget(tx: Tx, takedown_id: UUID) -> None:
    """Forget every URL and fingerprint that the checks of a takedown saw, and what was to be looked at."""
    for statement in _FORGET:
        await tx.execute(statement, (takedown_id,))
