"""The worker of due rows, on a table of its own: whatever a job does, the others are done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.db import due_worker
from shared.db.due_rows import DueTable, Room
from shared.db.due_worker import DueWorker, NoLongerWanted
from shared.db.pool import Database, Tx
from shared.db.wakeups import Wakeups, notify
from shared.errors import Permanent, Transient

CHANNEL, STOPPED = "errands", "errands_stopped"
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


class Odd(BaseException):
    """As a library written in another language raises when it panics."""


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
            await notify(tx, CHANNEL)

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
            "channel": CHANNEL,
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


async def _raise(error: BaseException) -> None:
    raise error


async def _cancel_oneself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    task.uncancel()  # as a time-out of one's own that is not put right
    await asyncio.sleep(0)


async def _cancelled_part() -> None:
    part = asyncio.create_task(asyncio.sleep(60))
    part.cancel()
    await part


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("ValueError", lambda: _raise(ValueError("https://a.test/x"))),
        ("Permanent", lambda: _raise(Permanent("no"))),
        ("RecursionError", lambda: _raise(RecursionError())),
        ("MemoryError", lambda: _raise(MemoryError())),
        ("UnicodeError", lambda: _raise(UnicodeError("label empty or too long"))),
        ("TimeoutError", lambda: asyncio.sleep(60)),
        ("CancelledError", lambda: _raise(asyncio.CancelledError())),
        ("CancelledError", _cancel_oneself),
        ("CancelledError", _cancelled_part),
        ("SystemExit", lambda: _raise(SystemExit(3))),
        ("Odd", lambda: _raise(Odd())),
        ("ExceptionGroup", lambda: _raise(ExceptionGroup("several", [ValueError("one")]))),
        ("BaseExceptionGroup", lambda: _raise(BaseExceptionGroup("several", [Odd()]))),
    ],
)
async def test_a_job_that_raises_anything_is_a_failure_of_that_job(
    fresh_database: str, name: str, act: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_worker, "POLL_SECONDS", 0.05)
    async with open_desk(fresh_database) as desk:

        async def do(errands: Sequence[Errand]) -> None:
            for errand in errands:
                if errand.number == 3:
                    await act()
                await desk.done(errand)

        desk.start(desk.worker(do, longest_seconds=0.3))
        await desk.add(6)
        await desk.until(lambda: desk.all_done(1, 2, 4, 5, 6))
        await desk.until(lambda: desk.told[3] >= 3)  # three failures in a row: what a task is made of
        failures, last = await desk.failures(3)
        assert failures >= 3
        assert last == name
        # The worker is none the worse for it.
        await desk.rows("INSERT INTO errands (number) VALUES (7)")
        await desk.until(lambda: desk.all_done(7))


async def test_a_job_that_succeeds_in_the_end_has_failed_no_more(fresh_database: str) -> None:
    async with open_desk(fresh_database) as desk:
        tries = 0

        async def do(errands: Sequence[Errand]) -> None:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise ValueError
            async with desk.database.transaction() as tx:
                await ERRANDS.release(tx, (errands[0].number,), errands[0].lease_id)
                await tx.execute("UPDATE errands SET done = 1")

        desk.start(desk.worker(do))
        await desk.add(1)
        await desk.until(lambda: desk.all_done(1))
        assert (await desk.failures(1))[0] == 0
        assert desk.told[1] == 2


async def test_what_a_failure_leads_to_may_fail_too(fresh_database: str) -> None:
    async with open_desk(fresh_database) as desk:

        async def do(errands: Sequence[Errand]) -> None:
            if errands[0].number == 1:
                raise ValueError
            await desk.done(errands[0])

        async def failed(_: Errand, __: int) -> None:
            raise KeyError

        desk.start(desk.worker(do, failed=failed))
        await desk.add(3)
        await desk.until(lambda: desk.all_done(2, 3))

        async def counted() -> bool:
            return (await desk.failures(1))[0] >= 2

        await desk.until(counted)


async def test_a_set_that_fails_is_done_one_by_one(fresh_database: str) -> None:
    async with open_desk(fresh_database) as desk:
        sizes: list[int] = []

        async def do(errands: Sequence[Errand]) -> None:
            sizes.append(len(errands))
            async with desk.database.transaction() as tx:
                for errand in errands:
                    if errand.number in (7, 30):
                        raise ValueError
                    await tx.execute(
                        "UPDATE errands SET done = done + 1, lease_id = NULL WHERE number = %s AND lease_id = %s",
                        (errand.number, errand.lease_id),
                    )

        await desk.add(100)
        desk.start(desk.worker(do, slots=200, set_of=64))
        others = [number for number in range(1, 101) if number not in (7, 30)]
        await desk.until(lambda: desk.all_done(*others))
        assert max(sizes) == 64
        await desk.until(lambda: desk.told[7] > 0 and desk.told[30] > 0)
        assert set(desk.told) == {7, 30}
        assert await desk.rows("SELECT 1 FROM errands WHERE failures > 0 AND number NOT IN (7, 30)") == []


async def test_a_set_is_of_rows_that_have_room_at_their_place(fresh_database: str) -> None:
    async with open_desk(fresh_database) as desk:
        sets: list[list[str]] = []
        going_on = asyncio.Event()

        async def do(errands: Sequence[Errand]) -> None:
            sets.append([errand.place for errand in errands])
            await going_on.wait()
            for errand in errands:
                await desk.done(errand)

        await desk.add(30)
        await desk.rows("UPDATE errands SET place = 'p' || number / 16")
        desk.start(desk.worker(do, slots=100, set_of=64, per_place=4))
        await desk.until(lambda: bool(sets))
        await desk.rows("SELECT pg_notify(%s, '')", CHANNEL)
        assert Counter(sets[0]) == {"p0": 4, "p1": 4}
        going_on.set()
        await desk.until(lambda: desk.all_done(*range(1, 31)))
        assert all(count <= 4 for places in sets for count in Counter(places).values())


@pytest.mark.parametrize("places", [1, 3])
async def test_every_job_that_ends_makes_room_for_the_next_at_once(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch, places: int
) -> None:
    """Also while a claim is under way that began when there was less room."""
    monkeypatch.setattr(due_worker, "POLL_SECONDS", 600.0)
    async with open_desk(fresh_database) as desk:

        async def do(errands: Sequence[Errand]) -> None:
            await desk.done(errands[0])

        await desk.add(200)
        await desk.rows("UPDATE errands SET place = number %% %s", places)
        desk.start(desk.worker(do, slots=16, per_place=4))
        await desk.until(lambda: desk.all_done(*range(1, 201)))


async def test_what_is_interrupted_is_due_again_soon_and_has_not_failed(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_worker, "INTERRUPTED_AGAIN", timedelta(milliseconds=50))
    async with open_desk(fresh_database) as desk:
        tries: Counter[int] = Counter()

        async def do(errands: Sequence[Errand]) -> None:
            for errand in errands:
                tries[errand.number] += 1
                if tries[errand.number] < 3:
                    raise Transient
                await desk.done(errand)

        desk.start(desk.worker(do, longest_seconds=1000.0))
        await desk.add(2)
        await desk.until(lambda: desk.all_done(1, 2))
        assert (await desk.failures(1))[0] == 0
        assert desk.told.total() == 0


async def test_a_worker_that_starts_anew_ends_its_own_leases_and_no_others(fresh_database: str) -> None:
    async with open_desk(fresh_database) as desk:
        for member, number in (("0", 1), ("1", 2)):
            await desk.rows("INSERT INTO errands (number) VALUES (%s)", number)
            async with desk.database.transaction() as tx:
                room = Room(free=1, per_place=1, busy={})
                claimed = await ERRANDS.claim(tx, room, owner=member, lease=timedelta(hours=1))
            assert [job.number for job in claimed.jobs] == [number]

        async def do(errands: Sequence[Errand]) -> None:
            await desk.done(errands[0])

        desk.start(desk.worker(do))
        await desk.until(lambda: desk.all_done(1))
        assert not await desk.all_done(2)


@pytest.mark.parametrize("channel", [None, STOPPED])
async def test_what_is_not_wanted_any_more_is_cancelled_and_nothing_else(
    fresh_database: str, channel: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if channel is not None:
        monkeypatch.setattr(due_worker, "LOOK_AGAIN_SECONDS", 600.0)  # by the wake-up alone
    async with open_desk(fresh_database) as desk:
        under_way: set[int] = set()
        ended: dict[int, str] = {}
        going_on = asyncio.Event()

        async def work(errand: Errand) -> str:
            under_way.add(errand.number)
            try:
                await going_on.wait()
            finally:
                await asyncio.sleep(0)  # tidying up may take a turn
                under_way.discard(errand.number)
            return "by itself"

        async def do(errands: Sequence[Errand]) -> None:
            for errand in errands:
                try:
                    ended[errand.number] = await worker.while_wanted(errand, work(errand))
                except NoLongerWanted as stopped:
                    assert errand.number not in under_way, "what was under way has ended"
                    ended[errand.number] = stopped.detail
                await desk.done(errand)

        async def unwanted(tx: Tx, errands: Collection[Errand]) -> Mapping[Errand, str]:
            cursor = await tx.execute("SELECT number, stopped_for FROM errands WHERE stopped_for IS NOT NULL")
            stopped = {row["number"]: row["stopped_for"] for row in await cursor.fetchall()}
            return {one: stopped[one.number] for one in errands if one.number in stopped}

        worker = desk.start(desk.worker(do, unwanted=unwanted, stopped_channel=channel))
        await desk.add(4)
        await desk.until(lambda: under_way == {1, 2, 3, 4})
        async with desk.database.transaction() as tx:
            await tx.execute("UPDATE errands SET stopped_for = 'erased' WHERE number = 2")
            if channel is not None:
                await notify(tx, channel)
        await desk.until(lambda: ended == {2: "erased"})
        assert under_way == {1, 3, 4}
        going_on.set()
        await desk.until(lambda: desk.all_done(1, 2, 3, 4))
        assert ended == {1: "by itself", 2: "erased", 3: "by itself", 4: "by itself"}


async def test_of_what_cannot_be_judged_only_itself_fails(fresh_database: str) -> None:
    async with open_desk(fresh_database) as desk:
        going_on = asyncio.Event()
        ended: set[int] = set()

        async def do(errands: Sequence[Errand]) -> None:
            for errand in errands:
                await worker.while_wanted(errand, going_on.wait())
                ended.add(errand.number)
                await desk.done(errand)

        async def unwanted(_: Tx, errands: Collection[Errand]) -> Mapping[Errand, str]:
            if any(errand.number == 2 for errand in errands):
                raise UnicodeError
            return {}

        worker = desk.start(desk.worker(do, unwanted=unwanted))
        await desk.add(3)
        await desk.until(lambda: desk.told[2] >= 1)
        assert ended == set()
        going_on.set()
        await desk.until(lambda: desk.all_done(1, 3))
