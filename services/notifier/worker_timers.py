"""Timers: reminders, deadlines, deliveries to give up. One fires in one transaction, and its row goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.notifier import store
from services.notifier.apply import Applier
from services.notifier.events import TimerFired, TimerKind
from services.notifier.worker import Claimed, DueWorker, Room, claim_and_next
from shared.db.pool import Tx

SLOTS = 32

# No lease: firing takes one short transaction, which deletes the row or leaves it. Those being fired here are left out.
_DUE = """
SELECT m.takedown_id, t.content_id, m.kind, m.demand_id, m.number, m.due_at
FROM notifier.timers m JOIN notifier.takedowns t USING (takedown_id)
WHERE m.due_at <= clock_timestamp() AND NOT m.takedown_id::text = ANY(%s)
ORDER BY m.due_at LIMIT %s
"""

_NEXT = """
SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float AS seconds FROM notifier.timers
WHERE due_at > clock_timestamp()
"""

_TAKE = """
DELETE FROM notifier.timers
WHERE takedown_id = %s AND kind = %s AND demand_id = %s AND number = %s AND due_at <= clock_timestamp()
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


class TimerWorker:
    """Fires what is due."""

    def __init__(self, applier: Applier) -> None:
        self._applier = applier
        runtime = applier.runtime
        self._worker = DueWorker(
            "timers",
            runtime.database,
            runtime.wakeups,
            channel=store.TIMERS_CHANNEL,
            slots=SLOTS,
            per_place=1,
            claim=self._claim,
            do=self.fire,
            place_of=lambda due: str(due.takedown_id),
        )

    async def run(self) -> None:
        await self._worker.run()

    async def _claim(self, tx: Tx, room: Room) -> Claimed[DueTimer]:
        rows, next_seconds = await claim_and_next(tx, _DUE, (room.full, room.free), _NEXT)
        # One of a takedown at a time: the first may cancel the others.
        first = {row["takedown_id"]: row for row in reversed(rows)}
        jobs = [DueTimer(**row) for row in first.values()]
        return Claimed(jobs=jobs, next_seconds=next_seconds)

    async def fire(self, due: DueTimer) -> None:
        async with self._applier.scope(due.content_id, exclusive=False, takedown_id=due.takedown_id) as scope:
            takedown = await scope.load(due.takedown_id)
            cursor = await scope.tx.execute(_TAKE, (due.takedown_id, due.kind, due.demand_id, due.number))
            taken = await cursor.fetchone()
            if takedown is None or taken is None:
                return  # cancelled, set anew, or fired by another process
            event = TimerFired(
                kind=TimerKind(due.kind), demand_id=due.demand_id, number=due.number, due_at=taken["due_at"]
            )
            await scope.apply(takedown, event)
