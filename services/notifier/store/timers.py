"""The table `timers`: when a takedown is to be reminded of something, whatever else happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.notifier.domain.effects import ScheduleTimer
from services.notifier.domain.model import Takedown
from shared.db.due_rows import DueTable
from shared.db.pool import Tx

_SET = """
INSERT INTO notifier.timers (takedown_id, kind, demand_id, number, due_at)
SELECT %(takedown_id)s, kind, demand_id, number, due_at
FROM unnest(%(kinds)s::text[], %(demand_ids)s::uuid[], %(numbers)s::int[], %(due)s::timestamptz[])
    AS t (kind, demand_id, number, due_at)
ON CONFLICT (takedown_id, kind, demand_id, number) DO UPDATE SET due_at = excluded.due_at,
    lease_id = NULL, lease_until = NULL, failures = 0
"""

_CANCEL = """
DELETE FROM notifier.timers
WHERE takedown_id = %(takedown_id)s AND (%(demand_id)s::uuid IS NULL OR demand_id = %(demand_id)s)
"""

_TAKE = """
DELETE FROM notifier.timers
WHERE takedown_id = %s AND kind = %s AND demand_id = %s AND number = %s AND lease_id = %s AND due_at <= clock_timestamp()
RETURNING due_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTimer:
    """A timer that is due, claimed by a worker."""

    takedown_id: UUID
    content_id: UUID
    kind: str
    demand_id: UUID
    number: int
    due_at: datetime
    lease_id: UUID


# One of a takedown at a time: the first may cancel the others.
TIMERS = DueTable(
    "notifier.timers",
    key=("takedown_id", "kind", "demand_id", "number"),
    place="d.takedown_id::text",
    beside="notifier.takedowns t",
    on="t.takedown_id = d.takedown_id",
    returning="d.due_at, t.content_id",
    job=lambda row: DueTimer(**row),
)


async def schedule(tx: Tx, takedown: Takedown, timers: Sequence[ScheduleTimer]) -> None:
    """Set these timers, or set them anew."""
    last = {(one.kind, one.demand_id, one.number): one for one in timers}.values()
    await tx.execute(
        _SET,
        {
            "takedown_id": takedown.takedown_id,
            "kinds": [one.kind for one in last],
            "demand_ids": [one.demand_id for one in last],
            "numbers": [one.number for one in last],
            "due": [one.at for one in last],
        },
    )


async def cancel_timers(tx: Tx, takedown_id: UUID, demand_id: UUID | None) -> None:
    """Cancel the timers of a takedown, or of one demand of it."""
    await tx.execute(_CANCEL, {"takedown_id": takedown_id, "demand_id": demand_id})


async def take_due(tx: Tx, timer: DueTimer) -> datetime | None:
    """The timer fires in this transaction. Gives when it was due; None: cancelled, set anew, or fired by another process."""
    cursor = await tx.execute(_TAKE, (timer.takedown_id, timer.kind, timer.demand_id, timer.number, timer.lease_id))
    row = await cursor.fetchone()
    return None if row is None else row["due_at"]
