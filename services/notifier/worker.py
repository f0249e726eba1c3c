"""Due rows become jobs: claim, do, end. What is due is decided by the database's clock; a NOTIFY wakes, a poll is the fallback.

A row is claimed with a free slot only (`FOR UPDATE SKIP LOCKED` and a lease that outlives the job's longest time), so that
another process takes it over when this one dies.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import structlog

from shared.db.pool import Database, Row, Tx
from shared.db.wake import Wakeups
from shared.errors import Transient

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
RETRY_SECONDS = 0.5
FAILED_SECONDS = 10.0

Job = TypeVar("Job")
Params = Sequence[object] | Mapping[str, object]


def soon(due_at: datetime, now: datetime) -> bool:
    """Whether a row of this time is worth a wake-up: what is due later is met by the next poll in time."""
    return due_at <= now + timedelta(seconds=POLL_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed(Generic[Job]):
    """What a claim gave. `next_seconds`: until the next row is due, None: none waits."""

    jobs: Sequence[Job]
    next_seconds: float | None = None


async def claim_and_next(tx: Tx, claim: str, values: Params, next_due: str) -> tuple[list[Row], float | None]:
    """The rows that `claim` gives, and the `seconds` of `next_due`: both in one go to the database and back."""
    async with tx.pipeline():
        claimed = await tx.execute(claim, values)
        following = await tx.execute(next_due)
    row = await following.fetchone()
    return await claimed.fetchall(), None if row is None else row["seconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a claim may take: `free` rows in all, and of one place at most what `per_place` has left of it."""

    free: int
    per_place: int
    busy: dict[str, int]

    @property
    def full(self) -> list[str]:
        """Places at their limit."""
        return [place for place, count in self.busy.items() if count >= self.per_place]


class DueWorker(Generic[Job]):
    """Runs the jobs of one table. `place_of`: where a job goes (a host, a recipient), which has at most `per_place` at once."""

    def __init__(
        self,
        name: str,
        database: Database,
        wakeups: Wakeups,
        *,
        channel: str,
        slots: int,
        per_place: int,
        claim: Callable[[Tx, Room], Awaitable[Claimed[Job]]],
        do: Callable[[Job], Awaitable[None]],
        place_of: Callable[[Job], str],
    ) -> None:
        self._name = name
        self._database = database
        self._wakeups = wakeups
        self._channel = channel
        self._slots = slots
        self._per_place = per_place
        self._claim = claim
        self._do = do
        self._place_of = place_of
        self._busy: Counter[str] = Counter()
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until cancelled; jobs under way are cancelled too, and their leases hand them to whoever comes next."""
        subscription = self._wakeups.subscribe(self._channel)
        try:
            while True:
                wait = await self._turn()
                if wait > 0:
                    await subscription.wait(wait)
        finally:
            subscription.close()
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _turn(self) -> float:
        """Claim and start what there is room for. Gives how long to wait: 0 when there may be more right away."""
        free = self._slots - len(self._running)
        if free <= 0:
            return POLL_SECONDS  # a job that ends wakes us
        room = Room(free=free, per_place=self._per_place, busy=dict(self._busy))
        try:
            async with self._database.transaction() as tx:
                claimed = await self._claim(tx, room)
        except Transient as error:
            log.warning("worker.interrupted", worker=self._name, error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
            return 0.0
        for job in claimed.jobs:
            self._start(job)
        if len(claimed.jobs) >= free:
            return 0.0
        if claimed.next_seconds is None:
            return POLL_SECONDS
        return min(POLL_SECONDS, max(0.005, claimed.next_seconds))

    def _start(self, job: Job) -> None:
        place = self._place_of(job)
        self._busy[place] += 1
        task = asyncio.create_task(self._guarded(job))
        self._running.add(task)
        task.add_done_callback(lambda done: self._ended(done, place))

    def _ended(self, task: asyncio.Task[None], place: str) -> None:
        # Only what was full can have left rows unclaimed.
        was_full = len(self._running) >= self._slots or self._busy[place] >= self._per_place
        self._running.discard(task)
        self._busy[place] -= 1
        if self._busy[place] <= 0:
            del self._busy[place]
        if was_full:
            self._wakeups.wake(self._channel)

    async def _guarded(self, job: Job) -> None:
        try:
            await self._do(job)
        except Transient as error:
            log.warning("job.interrupted", worker=self._name, error=type(error).__name__)
            await asyncio.sleep(RETRY_SECONDS)
        except Exception as error:  # noqa: BLE001 - one row must not stop the others; its lease ends and it is taken again
            frame = error.__traceback__
            while frame is not None and frame.tb_next is not None:
                frame = frame.tb_next
            at = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
            log.error("job.failed", worker=self._name, error=type(error).__name__, at=at)
            await asyncio.sleep(FAILED_SECONDS)  # its place stays taken, so that it is not tried again at once
