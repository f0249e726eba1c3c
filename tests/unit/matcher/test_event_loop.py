"""The event loop goes on beside a large register: heartbeats, sightings and new content do not wait until all of it is handled.

What is counted is work between two turns of the loop, in entries; one takes some 10 µs to apply or to be made a value, and far less
to be copied or indexed. A clock would say more of the machine's other work than of ours.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import numpy as np
import pytest

from services.matcher.consumer import content_follower as content_module
from services.matcher.consumer.commits import LogIdentities, OffsetPair, as_commit
from services.matcher.consumer.decoding import apply_content
from services.matcher.history import compaction
from services.matcher.history.segments import Built, build
from services.matcher.index.protocol import Hashes
from services.matcher.register.register import Register
from services.matcher.sightings.columns import Columns, Mask
from services.matcher.state.files import StateFiles
from shared.contracts.content import ContentState
from shared.contracts.topics import CONTENT, MATCHES, SIGHTINGS
from shared.log.port import EventLog
from shared.policy import Policy
from tests.matcher_world import content, content_record, registered, running_matcher, seen_value, sighting, until
from tests.matcher_world import sightings_record as record_of_sightings
from tests.memory_log import MemoryLog

CONTENTS, EACH = 180, 100
MOST_IN_A_TURN = 5_000
"""A twentieth of a second on a slow machine."""
WITHDRAWN = 140

Sources = Sequence[tuple[Columns, Mask]]


class Work:
    """Entries handled by the loop's thread since its last turn, and the most there were in one."""

    def __init__(self) -> None:
        self.since = self.most = self.all = 0
        self._thread = threading.get_ident()

    def done(self, entries: int) -> None:
        if threading.get_ident() == self._thread:
            self.all += entries
            self.since += entries
            self.most = max(self.most, self.since)

    async def watch(self) -> None:
        while True:
            self.since = 0
            await asyncio.sleep(0)


@asynccontextmanager
async def watched(patch: Callable[[object, str, object], None]) -> AsyncIterator[Work]:
    """Work on registers is counted where they do it."""
    work = Work()
    entries = Register.entries
    freeze, upkeep, index, of = Register.freeze, Register.upkeep, Register.index, Register.of

    def applied(register: Register, record: Any) -> Any:
        before = sum(register.sizes().values())
        found = apply_content(register, record)
        work.done(1 + abs(sum(register.sizes().values()) - before))
        return found

    def counted(method: Callable[..., Any], size: Callable[..., int]) -> Callable[..., Any]:
        def counting(*given: Any) -> Any:
            work.done(size(*given))
            return method(*given)

        return counting

    patch(content_module, "apply_content", applied)
    patch(Register, "entries", counted(entries, lambda register, numbers: len(numbers)))
    patch(Register, "freeze", counted(freeze, lambda register: register.rows))
    patch(Register, "upkeep", counted(upkeep, lambda register: register.rows))
    patch(Register, "index", counted(index, lambda register: register.unindexed))
    patch(Register, "of", counted(of, lambda frozen: len(frozen.entries["number"])))
    watching = asyncio.create_task(work.watch())
    yield work
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_loading_scanning_freezing_and_tidying_a_large_register_leave_the_loop_its_turns(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    values = np.random.default_rng(7).integers(0, 256, size=(CONTENTS, EACH, 32), dtype=np.uint8)
    log = MemoryLog(partitions={topic.name: topic.partitions for topic in (CONTENT, SIGHTINGS, MATCHES)})
    for number, some in enumerate(values):
        log.append(content_record(content(UUID(int=number), 1, *(registered(one.tobytes()) for one in some))))
    log.append(record_of_sightings(sighting("https://a.test/", seen_value(values[-1, -1].tobytes()))))
    (place,) = (one for one in log.records if one.topic == SIGHTINGS.name)
    logs = LogIdentities(content=await log.log_id(CONTENT.name), sightings=await log.log_id(SIGHTINGS.name))
    log.commits[place] = as_commit(OffsetPair(sightings=1, content=0), logs)
    state = StateFiles(folder=tmp_path / "state", kept=Policy().history_kept)
    state.folder.mkdir()
    async with watched(monkeypatch.setattr) as work:
        async with running_matcher(cast(EventLog, log), state=state) as matcher:
            assert any(one.topic == MATCHES.name for one in log.records), "the history was scanned with the last entry"
            await until((state.folder / "register").exists, what="the snapshot")
            assert work.all > 2 * CONTENTS * EACH, "all was applied here, and made values to be scanned"
            for number in range(WITHDRAWN):
                log.append(content_record(content(UUID(int=number), 2, state=ContentState.WITHDRAWN)))
            await log.publish([])
            register = matcher._cache.register
            assert register is not None
            await until(lambda: register.position == CONTENTS + WITHDRAWN, what="the withdrawals")
        async with running_matcher(cast(EventLog, log), state=state):
            pass
    assert work.most <= MOST_IN_A_TURN


HEAD, HEADS = 1_024, 7
"""Few enough heads that reading does not wait for their segments."""


def log_of_sightings(values: Hashes) -> MemoryLog:
    """All in one partition."""
    log = MemoryLog(partitions={topic.name: 1 for topic in (CONTENT, SIGHTINGS, MATCHES)})
    for start in range(0, len(values), 128):
        some = enumerate(values[start : start + 128], start=start)
        record = record_of_sightings(*(sighting(f"https://a.test/{n}", seen_value(one.tobytes())) for n, one in some))
        log.append(replace(record, partition=0))
    return log


async def test_sealing_and_merging_a_history_leave_the_loop_its_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(8).integers(0, 256, size=(HEAD * HEADS, 32), dtype=np.uint8)
    built: list[int] = []
    all_sealed, loops = threading.Event(), threading.get_ident()

    async with watched(monkeypatch.setattr) as work:

        def noted(sources: Sources, folder: Path | None) -> Built:
            if threading.get_ident() != loops:  # so that the second one takes in all the others
                assert all_sealed.wait(60)
            built.append(sum(len(alive) for _, alive in sources))
            work.done(built[-1])
            return build(sources, folder)

        monkeypatch.setattr(compaction, "build", noted)
        log = log_of_sightings(values)
        async with running_matcher(cast(EventLog, log), head_entries=HEAD, faster=50) as matcher:
            history = matcher._cache.histories[0].history
            await until(lambda: history.admitted == len(values), what="all to be remembered")
            all_sealed.set()
            await until(lambda: history.measures().merges == 2, what="what was built to be put in place")
    assert max(built) > MOST_IN_A_TURN
    assert work.most <= MOST_IN_A_TURN


async def test_a_segment_that_is_being_built_is_waited_for_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in it is found meanwhile, and what comes is taken in and matched."""
    values = np.random.default_rng(9).integers(0, 256, size=(HEAD, 32), dtype=np.uint8)
    begun, let_go, loops = threading.Event(), threading.Event(), threading.get_ident()

    def held(sources: Sources, folder: Path | None) -> Built:
        assert threading.get_ident() != loops, "the event loop would stand still"
        begun.set()
        assert let_go.wait(60)
        return build(sources, folder)

    monkeypatch.setattr(compaction, "build", held)
    log = log_of_sightings(values)

    def matched() -> int:
        """Each once, also where both came at the same time and so met twice."""
        records = [one for place, some in log.records.items() if place.topic == MATCHES.name for one in some]
        return len({dict(one.headers)["ce_id"] for one in records})

    try:
        async with running_matcher(cast(EventLog, log), head_entries=HEAD, faster=50) as matcher:
            await until(begun.is_set, what="the building")
            log.append(content_record(content(UUID(int=1), 1, registered(values[0].tobytes()))))
            await log.publish([])
            await until(lambda: matched() == 1, what="the match with what is being built")
            await log.publish(
                [
                    replace(
                        record_of_sightings(sighting("https://b.test/", seen_value(values[0].tobytes()))), partition=0
                    )
                ]
            )
            await until(lambda: matched() == 2, what="the match with what came meanwhile")
            history = matcher._cache.histories[0].history
            assert history.measures().merges == 0
            let_go.set()
            await until(lambda: history.measures().merges == 1, what="the segment in its place")
            log.append(content_record(content(UUID(int=2), 1, registered(values[1].tobytes()))))
            await log.publish([])
            await until(lambda: matched() == 3, what="the match with the segment")
    finally:
        let_go.set()
