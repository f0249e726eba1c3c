"""Does the jobs of rows that become due: claim, do, end. One worker for every table with such rows. Rows are claimed only where there is
room for their jobs. A NOTIFY wakes, a poll is the fallback.

Rows are claimed only where there is room for their jobs. A NOTIFY wakes, a poll is the fallback.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import string
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

import psycopg
import structlog

from shared.db.due_rows import POLL_SECONDS, Claimed, DueTable, Job, Leased, Room
from shared.db.pool import Database, Tx
from shared.db.wakeups import Subscription, Wakeups
from shared.errors import Permanent, Transient
from shared.process.metrics import JOB_FAILURES

log = structlog.get_logger(__name__)

CLAIMED_AT_MOST = 64
"""Rows in one claim."""
RETRY_SECONDS = 0.5
OF_THE_WORKER = (Transient, psycopg.OperationalError)
"""Errors that the worker's own statements may meet: no job is to blame, so the statement is tried again. (Within a job the second is its
failure.)"""
LOOK_AGAIN_SECONDS = 0.4
"""How often it is read again, while work is under way, whether it is still wanted."""
UNREAD_SECONDS = 3.0
"""How long work goes on while it cannot be read whether it is still wanted; then it is broken off: what stops it may have been written
where we cannot read it."""
INTERRUPTED_AGAIN = timedelta(seconds=3)
"""The wait after work that was interrupted because something of ours was away: its lease would last for minutes."""
FAILED_AGAIN = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
"""The wait after the first failure in a row, the second, and so on; the last one from then on."""
LEASE_FACTOR = 3
CUT_OFF_FACTOR = 2
"""How many times the longest time of a job a lease lasts; a job that has not ended by itself is cut off before its lease is over."""

_LETTERS = string.ascii_lowercase + string.digits
Given = TypeVar("Given")


class NoLongerWanted(Permanent):
    """The work under way is not wanted any more. `detail` says why, in a word."""


@dataclass(slots=True, kw_only=True, eq=False)
class _UnderWay(Generic[Job]):
    """Work that is done while its job is wanted."""

    job: Job
    task: asyncio.Future[Any]
    stopped_for: str | None = None
    unread: bool = False
    """Broken off because nobody could read whether it is still wanted."""


class Unread(Transient):
    """Whether this work is still wanted cannot be read."""


class DueWorker(Generic[Job]):
    """Does the jobs of one table, at most `slots` rows at once and `per_place` of one place.

    `do` is given the jobs of up to `set_of` rows that were claimed together. Whatever it raises is a failure of those jobs and of
    nothing else: a set that fails is done again one by one, and a job that fails alone is counted in its row and tried again
    later. So what `do` did before it raised must have no second effect. `failed` is called for each failure that was counted, with
    their number in a row. A Transient is no failure of the job: it is due again soon.

    `longest_seconds`: how long a set takes at the most by its own limits. `unwanted` gives those of the jobs under way that are
    not wanted any more, each with a word why (see `while_wanted`); it is asked when one of `stop_wakeups` wakes, and every while. Where
    that cannot be read for long, what is under way is broken off as if something of ours were away.
    """

    def __init__(
        self,
        name: str,
        database: Database,
        wakeups: Wakeups,
        table: DueTable[Job],
        *,
        member: str,
        wakeup: str,
        slots: int,
        longest_seconds: float,
        do: Callable[[Sequence[Job]], Awaitable[None]],
        per_place: int | None = None,
        set_of: int = 1,
        unwanted: Callable[[Tx, Collection[Job]], Awaitable[Mapping[Job, str]]] | None = None,
        stop_wakeups: Sequence[str] = (),
        failed: Callable[[Job, int], Awaitable[None]] | None = None,
        failed_again: Sequence[timedelta] = FAILED_AGAIN,
    ) -> None:
        self._name = name
        self._database = database
        self._wakeups = wakeups
        self._table = table
        self._member = member
        self._wakeup = wakeup
        self._slots = slots
        self._per_place = slots if per_place is None else per_place
        self._lease = timedelta(seconds=LEASE_FACTOR * longest_seconds)
        self._cut_off_seconds = CUT_OFF_FACTOR * longest_seconds
        self._do = do
        self._set_of = set_of
        self._unwanted = unwanted
        self._stop_wakeups = tuple(stop_wakeups)
        self._failed = failed
        self._failed_again = failed_again
        self._busy: Counter[str] = Counter()
        self._running: set[asyncio.Task[None]] = set()
        self._under_way: set[_UnderWay[Job]] = set()
        self._some_under_way = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled; jobs under way are cancelled too, and their leases hand them to whoever comes next."""
        try:
            with self._wakeups.subscribe(self._wakeup) as woken:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._work(woken))
                    group.create_task(self._watch())
        except BaseExceptionGroup as ended:
            raise ended.exceptions[0] from None
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def claim(self, tx: Tx, room: Room) -> Claimed[Job]:
        """Lease what is due and has room."""
        start = "".join(random.choices(_LETTERS, k=2))  # noqa: S311 - fairness, no secret
        return await self._table.claim(tx, room, owner=self._member, lease=self._lease, start=start)

    async def while_wanted(self, job: Job, work: Coroutine[Any, Any, Given]) -> Given:
        """Do `work` and give its result; it is cancelled once `job` is not wanted any more. Raises NoLongerWanted then, when what
        was under way has ended; Unread where that could not be read for long.

        It counts as under way before it has begun: whatever stops the job is either read by `work` itself or finds it here.
        """
        task = asyncio.create_task(work)
        one = _UnderWay(job=job, task=task)
        self._under_way.add(one)
        self._some_under_way.set()
        try:
            await asyncio.wait((task,))
        finally:
            self._under_way.discard(one)
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))
        if task.cancelled() or task.exception() is not None:
            if one.stopped_for is not None:
                raise NoLongerWanted(one.stopped_for)
            if one.unread:
                raise Unread
        return task.result()

    async def _watch(self) -> None:
        read_at = time.monotonic()
        with self._wakeups.subscribe(*self._stop_wakeups) as stopped:
            while True:
                await self._some_under_way.wait()
                await stopped.wait(LOOK_AGAIN_SECONDS)
                under_way = list(self._under_way)  # what begins later is asked about the next time
                if not under_way:
                    self._some_under_way.clear()
                    read_at = time.monotonic()
                    continue
                try:
                    async with asyncio.timeout(UNREAD_SECONDS):
                        await self._stop_unwanted(under_way)
                    read_at = time.monotonic()
                except (Transient, TimeoutError):  # asked again soon
                    if time.monotonic() - read_at >= UNREAD_SECONDS:
                        _break_off(self._under_way)

    async def _stop_unwanted(self, under_way: Sequence[_UnderWay[Job]]) -> None:
        if self._unwanted is None:
            return
        try:
            async with self._database.transaction() as tx:
                unwanted = await self._unwanted(tx, [one.job for one in under_way])
        except Transient:
            raise
        except Exception as error:  # noqa: BLE001 - of one of these jobs: it fails, since whether it may go on is not known
            if len(under_way) > 1:
                for one in under_way:
                    await self._stop_unwanted([one])
            else:
                log.error("job.not_judged", worker=self._name, error=type(error).__name__, at=_raised_at(error))
                under_way[0].task.cancel()
            return
        for one in under_way:
            if one.job in unwanted and one.stopped_for is None:
                one.stopped_for = unwanted[one.job]
                one.task.cancel()

    async def _work(self, woken: Subscription) -> None:
        await self._free_own()
        while True:
            wait_seconds = await self._turn()
            if wait_seconds > 0:
                await woken.wait(wait_seconds)

    async def _free_own(self) -> None:
        while True:
            try:
                async with self._database.transaction() as tx:
                    await self._table.free_own(tx, self._member)
                return
            except OF_THE_WORKER as error:
                await self._interrupted(error)

    async def _interrupted(self, error: Exception) -> None:
        log.warning("worker.interrupted", worker=self._name, error=type(error).__name__)
        await asyncio.sleep(RETRY_SECONDS)

    async def _turn(self) -> float:
        """Claim rows and start their jobs, as many as there is room for. Gives how long to wait: 0 when there may be more right away."""
        free = min(self._slots - self._busy.total(), CLAIMED_AT_MOST)
        if free <= 0:
            return POLL_SECONDS  # a job that ends wakes us
        room = Room(free=free, per_place=self._per_place, busy=dict(self._busy))
        try:
            async with self._database.transaction() as tx:
                claimed = await self.claim(tx, room)
        except OF_THE_WORKER as error:
            await self._interrupted(error)
            return 0.0
        rows = iter(claimed.rows)
        while some := list(itertools.islice(rows, self._set_of)):
            self._start(some)
        if len(claimed.rows) >= free:
            return 0.0
        if claimed.next_seconds is None:
            return POLL_SECONDS
        return min(POLL_SECONDS, max(0.005, claimed.next_seconds))

    def _start(self, rows: Sequence[Leased[Job]]) -> None:
        self._busy.update(row.place for row in rows)
        task = asyncio.create_task(self._guarded(rows))
        self._running.add(task)
        task.add_done_callback(lambda done: self._ended(done, rows))

    def _ended(self, task: asyncio.Task[None], rows: Sequence[Leased[Job]]) -> None:
        self._running.discard(task)
        self._busy.subtract(row.place for row in rows)
        self._busy = +self._busy  # without the places where nothing is under way
        error = None if task.cancelled() else task.exception()
        if error is not None:  # not of the job, but of recording it
            log.error(
                "worker.failure_not_recorded", worker=self._name, error=type(error).__name__, at=_raised_at(error)
            )
        # Its room may be another row's, also where nothing was full: a claim under way knows only of the room there was as it began.
        self._wakeups.wake(self._wakeup)

    async def _guarded(self, rows: Sequence[Leased[Job]]) -> None:
        try:
            async with asyncio.timeout(self._cut_off_seconds):
                await self._do([row.job for row in rows])
        except Transient as error:
            await self._put_back(rows, error)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except (
            BaseException
        ) as error:  # some libraries raise what is no Exception, and may cancel what they were called by
            if _is_being_cancelled():
                raise
            await self._record(rows, error)

    async def _put_back(self, rows: Sequence[Leased[Job]], error: Transient) -> None:
        log.warning("job.interrupted", worker=self._name, error=type(error).__name__)
        with contextlib.suppress(Transient):  # their leases end by themselves
            async with self._database.transaction() as tx:
                for row in rows:
                    await self._table.put_back(tx, row, INTERRUPTED_AGAIN)
        await asyncio.sleep(RETRY_SECONDS)  # their places stay taken, so that not all that is due is tried in vain

    async def _record(self, rows: Sequence[Leased[Job]], error: BaseException) -> None:
        log.error("job.failed", worker=self._name, error=type(error).__name__, at=_raised_at(error), rows=len(rows))
        try:
            if len(rows) > 1:
                await self._do_alone(rows)
            else:
                await self._count_failure(rows[0], type(error).__name__)
        except OF_THE_WORKER as unrecorded:
            await self._interrupted(unrecorded)  # the lease ends, and it is tried again

    async def _do_alone(self, rows: Sequence[Leased[Job]]) -> None:
        """Do each job of a set by itself, since one of them failed, or all."""
        async with self._database.transaction() as tx:
            still_ours = [row for row in rows if await self._table.renew(tx, row, self._lease)]
        for row in still_ours:
            self._start([row])

    async def _count_failure(self, row: Leased[Job], failure: str) -> None:
        JOB_FAILURES.labels(self._name).inc()
        async with self._database.transaction() as tx:
            failures = await self._table.fail(tx, row, failure, self._failed_again)
        if self._failed is not None and failures is not None:
            await self._failed(row.job, failures)


def _break_off(under_way: Collection[_UnderWay[Any]]) -> None:
    for one in under_way:
        one.unread = True
        one.task.cancel()


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _raised_at(error: BaseException) -> str:
    """Where an error was raised: file and line, never its text, which may quote a URL."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
