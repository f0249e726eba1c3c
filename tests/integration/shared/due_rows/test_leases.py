"""The worker of due rows: what is interrupted, what is left of a worker that died, and what is not wanted any more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

import pytest

from shared.db import due_worker
from shared.db.due_rows import Room
from shared.db.due_worker import NoLongerWanted
from shared.db.pool import Tx
from shared.db.wakeups import notify
from shared.errors import Transient
from tests.integration.shared.due_rows.errands import (
    ERRANDS,
    STOPPED,
    Errand,
    open_desk,
)


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


@pytest.mark.parametrize("wakeup", [None, STOPPED])
async def test_what_is_not_wanted_any_more_is_cancelled_and_nothing_else(
    fresh_database: str, wakeup: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if wakeup is not None:
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

        worker = desk.start(desk.worker(do, unwanted=unwanted, stop_wakeups=(wakeup,)))
        await desk.add(4)
        await desk.until(lambda: under_way == {1, 2, 3, 4})
        async with desk.database.transaction() as tx:
            await tx.execute("UPDATE errands SET stopped_for = 'erased' WHERE number = 2")
            if wakeup is not None:
                await notify(tx, wakeup)
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
