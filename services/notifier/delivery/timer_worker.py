"""Timers: reminders, deadlines, deliveries to give up. One fires in one transaction, and its row goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.domain.events import TimerFired, TimerKind
from services.notifier.store import takedowns
from shared.db.due_rows import DueTable
from shared.db.due_worker import DueWorker

SLOTS = 32

LONGEST_SECONDS = 10.0
"""Firing is one short transaction, which deletes the row or leaves it."""

_TAKE = """
DELETE FROM notifier.timers
WHERE takedown_id = %s AND kind = %s AND demand_id = %s AND number = %s AND lease_id = %s AND due_at <= clock_timestamp()
RETURNING due_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueTimer:
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


class TimerWorker:
    """Fires what is due."""

    def __init__(self, applier: UnitOfWorkFactory) -> None:
        self._applier = applier
        runtime = applier.runtime
        self.due = DueWorker(
            "timers",
            runtime.database,
            runtime.wakeups,
            TIMERS,
            member=runtime.settings.member,
            channel=takedowns.TIMERS_CHANNEL,
            slots=SLOTS,
            per_place=1,
            longest_seconds=LONGEST_SECONDS,
            do=self._fire,
        )

    async def run(self) -> None:
        await self.due.run()

    async def _fire(self, due: Sequence[DueTimer]) -> None:
        for one in due:
            await self.fire(one)

    async def fire(self, due: DueTimer) -> None:
        async with self._applier.scope(due.content_id, exclusive=False, takedown_id=due.takedown_id) as scope:
            takedown = await scope.load(due.takedown_id)
            cursor = await scope.tx.execute(_TAKE, (due.takedown_id, due.kind, due.demand_id, due.number, due.lease_id))
            taken = await cursor.fetchone()
            if takedown is None or taken is None:
                return  # cancelled, set anew, or fired by another process
            event = TimerFired(
                kind=TimerKind(due.kind), demand_id=due.demand_id, number=due.number, due_at=taken["due_at"]
            )
            await scope.apply(takedown, event)
