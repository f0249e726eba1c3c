"""A table of errands, and workers that do them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from shared.db.due_rows import DueTable
from shared.db.due_worker import DueWorker
from shared.db.pool import Database
from shared.db.wakeups import Wakeups, notify

WAKEUP, STOPPED = "errands", "errands_stopped"
DEADLINE_SECONDS = 15.0


_TABLE = """
CREATE TABLE errands (
    number       int PRIMARY KEY,
    place        text NOT NULL DEFAULT 'here',
    due_at       timestamptz NOT NULL DEFAULT now(),
    done         int NOT NULL DEFAULT 0,
    stopped_for  text,
    lease_id     uuid,
    lease_owner  text,
    lease_until  timestamptz,
    failures     int NOT NULL DEFAULT 0,
    last_failure text
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    number: int
    place: str
    lease_id: UUID


ERRANDS = DueTable(
    "errands",
    key=("number",),
    place="d.place",
    waiting="d.done = 0",
    returning="d.place",
    job=lambda row: Errand(**row),
)


@dataclass(kw_only=True)
class Desk:
    """A table of errands, and who does them."""

    database: Database
    wakeups: Wakeups
    workers: list[asyncio.Task[None]] = field(default_factory=list)
    told: Counter[int] = field(default_factory=Counter)
    """How often what a failure led to was told, by errand."""

    async def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        async with self.database.transaction() as tx:
            cursor = await tx.execute(query.encode(), parameters)
            return [] if cursor.description is None else await cursor.fetchall()

    async def add(self, count: int) -> None:
        async with self.database.transaction() as tx:
            await tx.execute("INSERT INTO errands (number) SELECT generate_series(1, %s)", (count,))
            await notify(tx, WAKEUP)

    async def done(self, errand: Errand) -> None:
        await self.rows(
            "UPDATE errands SET done = done + 1, lease_id = NULL, lease_until = NULL WHERE number = %s AND lease_id = %s",
            errand.number,
            errand.lease_id,
        )

    async def all_done(self, *numbers: int) -> bool:
        rows = await self.rows("SELECT done FROM errands WHERE number = ANY(%s)", list(numbers))
        assert all(row["done"] <= 1 for row in rows), "nothing is done twice"
        return [row["done"] for row in rows] == [1] * len(numbers)

    async def failures(self, number: int) -> tuple[int, str | None]:
        (row,) = await self.rows("SELECT failures, last_failure FROM errands WHERE number = %s", number)
        return row["failures"], row["last_failure"]

    def worker(self, do: Callable[[Sequence[Errand]], Awaitable[None]], **changes: Any) -> DueWorker[Errand]:
        async def failed(errand: Errand, failures: int) -> None:
            assert failures == self.told[errand.number] + 1
            self.told[errand.number] = failures

        values: dict[str, Any] = {
            "member": "0",
            "wakeup": WAKEUP,
            "slots": 8,
            "longest_seconds": 5.0,
            "failed": failed,
            "failed_again": [timedelta(milliseconds=50)],
        } | changes
        return DueWorker("errands", self.database, self.wakeups, ERRANDS, do=do, **values)

    def start(self, worker: DueWorker[Errand]) -> DueWorker[Errand]:
        self.workers.append(asyncio.create_task(worker.run()))
        return worker

    async def until(self, condition: Callable[[], Any]) -> None:
        deadline = asyncio.get_running_loop().time() + DEADLINE_SECONDS
        while True:
            for worker in self.workers:
                assert not worker.done(), f"the worker ended: {worker}"
            result = condition()
            if result if isinstance(result, bool) else await result:
                return
            assert asyncio.get_running_loop().time() < deadline, "waited too long"
            await asyncio.sleep(0.01)


@asynccontextmanager
async def open_desk(conninfo: str) -> AsyncIterator[Desk]:
    async with Database(conninfo) as database:
        desk = Desk(database=database, wakeups=Wakeups(database))
        await desk.rows(_TABLE)
        listening = asyncio.create_task(desk.wakeups.run())
        try:
            yield desk
        finally:
            for task in (*desk.workers, listening):
                task.cancel()
            await asyncio.gather(*desk.workers, listening, return_exceptions=True)
