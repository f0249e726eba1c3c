"""Works off due timers: reminders, deadlines, deliveries to give up. Each fires in one transaction, which deletes its row."""

from __future__ import annotations

from collections.abc import Sequence

from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.domain.events import TimerFired, TimerKind
from services.notifier.store import takedowns, timers
from services.notifier.store.timers import TIMERS, DueTimer
from shared.db.due_worker import DueWorker

SLOTS = 32

LONGEST_SECONDS = 10.0
"""Firing is one short transaction, which deletes the row or leaves it."""


class TimerWorker:
    """Fires the timers that are due."""

    def __init__(self, units_of_work: UnitOfWorkFactory) -> None:
        self._units_of_work = units_of_work
        runtime = units_of_work.runtime
        self.due = DueWorker(
            "timers",
            runtime.database,
            runtime.wakeups,
            TIMERS,
            member=runtime.settings.member,
            wakeup=takedowns.TIMERS_WAKEUP,
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
        async with self._units_of_work.begin(due.content_id, exclusive=False, takedown_id=due.takedown_id) as unit:
            takedown = await unit.load(due.takedown_id)
            was_due_at = await timers.take_due(unit.tx, due)
            if takedown is None or was_due_at is None:
                return  # cancelled, set anew, or fired by another process
            event = TimerFired(kind=TimerKind(due.kind), demand_id=due.demand_id, number=due.number, due_at=was_due_at)
            await unit.apply(takedown, event)
