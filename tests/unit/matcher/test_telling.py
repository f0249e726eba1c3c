"""Matches are published and committed while the next sightings are read and looked up; and what that must not do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest

from services.matcher.consumer.partitions import MatcherDependencies, finish_though_cancelled
from services.matcher.consumer.worker import Matcher
from services.matcher.join.matching import match_against_register
from services.matcher.state.files import StateFiles
from shared.contracts.topics import CONTENT, DEAD_LETTERS, MATCHES, SIGHTINGS
from shared.log.port import EventLog, LogUnavailable, OutgoingRecord, Polled, TopicPartition, TopicPartitionOffset
from shared.policy import Policy
from tests.matcher_world import KEY, content, content_record, partition_of_url, registered, seen_value, sighting, until
from tests.matcher_world import sightings_record as record_of_sightings
from tests.memory_log import MemoryGroupReader, MemoryLog

VALUE = bytes(range(32))
URL = "https://a.test/"
PARTITIONS = {one.name: one.partitions for one in (CONTENT, SIGHTINGS, MATCHES, DEAD_LETTERS)}
PLACE = TopicPartition(topic=SIGHTINGS.name, partition=partition_of_url(URL))


class SlowLog(MemoryLog):
    """Takes matches one publication at a time, each when it is let."""

    def __init__(self) -> None:
        super().__init__(PARTITIONS)
        self.asked = self.taken = 0
        self.let = asyncio.Semaphore(0)
        self.polled = 0

    async def publish(self, records: Sequence[OutgoingRecord]) -> tuple[TopicPartitionOffset, ...]:
        if any(one.topic == MATCHES.name for one in records):
            self.asked += 1
            await self.let.acquire()
            self.taken += 1
        return await super().publish(records)

    @asynccontextmanager
    async def group_reader(self, **how: Any) -> AsyncIterator[MemoryGroupReader]:
        async with super().group_reader(**how) as reader:
            poll = reader.poll

            async def counted(**how: Any) -> Polled:
                polled = await poll(**how)
                self.polled += len(polled.records)
                return polled

            reader.poll = counted  # type: ignore[method-assign]
            yield reader

    def committed(self) -> int:
        found = self.commits.get(PLACE)
        return 0 if found is None else found.offset

    async def sees(self) -> None:
        self.append(record_of_sightings(sighting(URL, seen_value(VALUE))))
        await super().publish([])


class Looks:
    """Threads; counts those that look sightings up."""

    def __init__(self) -> None:
        self.done = 0

    async def __call__(self, function: Callable[[], Any], /) -> Any:
        self.done += isinstance(function, partial) and function.func is match_against_register
        return function()


@asynccontextmanager
async def matching(log: SlowLog, looks: Looks, state: StateFiles | None, policy: Policy) -> AsyncIterator[None]:
    log.append(content_record(content(UUID(int=1), 1, registered(VALUE))))
    dependencies = MatcherDependencies(
        log=cast(EventLog, log),
        policy=policy,
        fingerprint_key=KEY,
        member_id="m",
        offload=looks,
        inline_pairs=-1,
        state=state,
    )
    running = asyncio.create_task(Matcher(dependencies).run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_next_sightings_are_looked_up_meanwhile_and_committed_in_order() -> None:
    log, looks = SlowLog(), Looks()
    async with matching(log, looks, None, Policy()):
        await log.sees()
        await until(lambda: log.asked == 1, what="the first match is on its way")
        await log.sees()
        await until(lambda: looks.done == 2, what="the second sighting is looked up meanwhile")
        assert (log.asked, log.committed()) == (1, 0), "nothing is committed before it is durable"
        log.let.release()
        await until(lambda: log.asked == 2, what="the second match is on its way")
        assert log.committed() == 1
        log.let.release()
        await until(lambda: log.committed() == 2, what="the second commit")


async def test_a_history_is_written_however_soon_the_next_sightings_come(tmp_path: Path) -> None:
    """It is written as it is committed, and so not while it is a step ahead."""
    state = StateFiles(folder=tmp_path / "state", kept=Policy().history_kept)
    state.folder.mkdir()
    log, looks = SlowLog(), Looks()
    async with matching(log, looks, state, Policy(snapshot_sightings=1)):
        await log.sees()
        await until(lambda: log.asked == 1, what="the first match is on its way")
        await log.sees()
        await until(lambda: log.polled == 2, what="the second sighting is read")
        log.let.release()
        await until(lambda: log.asked == 2, what="the second match is on its way")
        written = state.folder / f"history-{PLACE.partition}"
        await until(lambda: any(written.glob("*/manifest")), what="the history as of the first commit")
        log.let.release()


def matcher_on(log: MemoryLog) -> Matcher:
    return Matcher(MatcherDependencies(log=cast(EventLog, log), policy=Policy(), fingerprint_key=KEY, member_id="m"))


class BrokenOnTheWayOut(MemoryLog):
    """Waits for sightings in vain, and fails when that is broken off."""

    @asynccontextmanager
    async def group_reader(self, **how: Any) -> AsyncIterator[MemoryGroupReader]:
        async with super().group_reader(**how) as reader:

            async def poll(**how: Any) -> Polled:
                try:
                    await asyncio.get_running_loop().create_future()
                except asyncio.CancelledError:
                    raise LogUnavailable("on the way out") from None
                raise AssertionError

            reader.poll = poll  # type: ignore[method-assign]
            yield reader


@pytest.mark.timeout(30)
async def test_a_matcher_that_fails_as_it_is_stopped_is_stopped() -> None:
    log = BrokenOnTheWayOut(PARTITIONS)
    matcher = matcher_on(log)
    running = asyncio.create_task(matcher.run())
    await until(lambda: matcher._session is not None, what="a session")
    await until(lambda: any("the group" in reason for reason in matcher.not_ready()), what="it waits for the group")
    running.cancel()
    await asyncio.wait({running}, timeout=10)
    assert running.cancelled()


class SlowOnTheWayOut(MemoryLog):
    """Takes its time to leave the group."""

    leaving = left = False

    @asynccontextmanager
    async def group_reader(self, **how: Any) -> AsyncIterator[MemoryGroupReader]:
        self.may_leave: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with super().group_reader(**how) as reader:
            poll = reader.poll

            async def slowly(**how: Any) -> Polled:
                try:
                    return await poll(**how)
                except asyncio.CancelledError:
                    self.leaving = True
                    await finish_though_cancelled(self.may_leave)
                    self.left = True
                    raise

            reader.poll = slowly  # type: ignore[method-assign]
            yield reader


@pytest.mark.timeout(30)
async def test_a_matcher_that_is_stopped_twice_has_ended_when_it_is_stopped() -> None:
    """What is left of it is written next: nobody of it may be at work any more."""
    log = SlowOnTheWayOut(PARTITIONS)
    matcher = matcher_on(log)
    running = asyncio.create_task(matcher.run())
    await until(lambda: not matcher.not_ready(), what="it is ready")
    running.cancel()
    await until(lambda: log.leaving, what="it is leaving")
    running.cancel()
    await asyncio.wait({running}, timeout=0.2)
    assert not running.done(), "it has not left yet"
    log.may_leave.set_result(None)
    await asyncio.wait({running}, timeout=10)
    assert (running.cancelled(), log.left) == (True, True)
