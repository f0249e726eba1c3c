"""A consumer whose partition is lost goes on: between two polls the reader knows of it, and the consumer does not yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID

import pytest

from shared.clock import system_clock
from shared.contracts.event import Envelope
from shared.contracts.topics import CONTENT
from shared.log import runner as runner_module
from shared.log.port import EventLog, Record, TopicPartition
from shared.log.runner import Runner
from tests.matcher_world import content, content_record, registered, until
from tests.memory_log import MemoryGroupReader, MemoryLog


class Losing(MemoryLog):
    """`lost`: its reader has no position of anything, as amid a rebalance."""

    lost = False
    asked = 0

    @asynccontextmanager
    async def group_reader(self, **how: Any) -> AsyncIterator[MemoryGroupReader]:
        async with super().group_reader(**how) as reader:
            position = reader.position

            def asked(partition: TopicPartition) -> int:
                self.asked += 1
                if self.lost:
                    raise KeyError(partition)
                return position(partition)

            reader.position = asked  # type: ignore[method-assign]
            yield reader


async def test_a_partition_lost_between_two_polls_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "_LAG_SECONDS", 0.01)
    log, handled = Losing(partitions={CONTENT.name: 1}), 0

    async def handle(_: Envelope, __: Record) -> None:
        nonlocal handled
        handled += 1

    runner = Runner(
        cast(EventLog, log),
        "group",
        (CONTENT.name,),
        handle,
        member_id="m",
        source="test",
        clock=system_clock,
        answers_replays=False,
    )
    running = asyncio.create_task(runner.run())
    try:
        await until(lambda: log.asked > 2, what="the lag is measured")
        log.lost = True
        asked = log.asked
        await until(lambda: log.asked > asked + 2 or running.done(), what="it is measured again")
        log.lost = False
        await log.publish([content_record(content(UUID(int=1), 1, registered(bytes(range(32)))))])
        await until(lambda: handled or running.done(), what="the next record is handled")
        assert handled == 1
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
