"""What is under way is broken off where nobody can read whether it is still wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

import pytest

from shared.db import due_worker
from shared.db.due_worker import Unread
from shared.db.pool import DatabaseUnavailable, Tx
from tests.integration.shared.due_rows.errands import Errand, open_desk


@pytest.mark.parametrize("hangs", [False, True])
async def test_what_nobody_can_judge_for_long_is_broken_off_and_due_again(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    monkeypatch.setattr(due_worker, "UNREAD_SECONDS", 0.5)
    monkeypatch.setattr(due_worker, "LOOK_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(due_worker, "INTERRUPTED_AGAIN", timedelta(0))
    monkeypatch.setattr(due_worker, "RETRY_SECONDS", 0.05)
    async with open_desk(fresh_database) as desk:
        begun: list[int] = []
        broken_off: list[int] = []
        away = False

        async def do(errands: Sequence[Errand]) -> None:
            (errand,) = errands
            begun.append(errand.number)
            try:
                await worker.while_wanted(errand, asyncio.sleep(0 if len(begun) > 1 else 60))
            except Unread:
                broken_off.append(errand.number)
                raise
            await desk.done(errand)

        async def unwanted(tx: Tx, _: Collection[Errand]) -> Mapping[Errand, str]:
            if away and hangs:
                await tx.execute("SELECT pg_sleep(60)")
            if away:
                raise DatabaseUnavailable
            return {}

        worker = desk.start(desk.worker(do, unwanted=unwanted, longest_seconds=60.0))
        await desk.add(1)
        await desk.until(lambda: begun == [1])
        assert not broken_off
        away = True
        await desk.until(lambda: desk.all_done(1))
        assert (begun, broken_off) == ([1, 1], [1])
        assert await desk.failures(1) == (0, None), "it is no failure of the job"
