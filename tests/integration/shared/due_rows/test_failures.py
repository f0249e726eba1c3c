"""The worker of due rows: whatever a job does, the others are done."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import pytest

from shared.db import due_worker
from shared.errors import Permanent
from tests.integration.shared.due_rows.errands import (
    ERRANDS,
    WAKEUP,
    Errand,
    open_desk,
)


class Odd(BaseException):
    """As a library written in another language raises when it panics."""


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
        await desk.rows("SELECT pg_notify(%s, '')", WAKEUP)
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
