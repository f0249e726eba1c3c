"""Reading is no faster than the histories' segments are built: else full heads, some 15 MB each, would pile up in memory without end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from services.matcher.consumer.partitions import MatcherDependencies, ProcessCache
from services.matcher.consumer.worker import Matcher
from services.matcher.history.history import MOST_SEALED, History, at_once
from services.matcher.state.files import StateFiles
from shared.contracts.topics import CONTENT, DEAD_LETTERS, MATCHES, SIGHTINGS
from shared.log.port import EventLog
from shared.policy import Policy
from tests.matcher_world import KEY, seen_value, sighting, sightings_record, until
from tests.memory_log import MemoryLog
from tests.unit.matcher.test_history import KEPT, NOW, VALUES, pdq, seen

HEAD, RECORDS = 64, 4_000
HEADS = RECORDS // HEAD


async def test_reading_waits_for_segments(tmp_path: Path) -> None:
    log = MemoryLog(partitions={one.name: 1 for one in (CONTENT, SIGHTINGS, MATCHES, DEAD_LETTERS)})
    for number in range(RECORDS):
        record = sightings_record(sighting(f"https://a.test/{number}", seen_value(random.Random(number).randbytes(32))))
        log.append(replace(record, partition=0))
    waiting: list[Callable[[], None]] = []
    memory, most = ProcessCache(), 0
    slept: list[int] = []

    async def sleep(seconds: float) -> None:
        if 0 < seconds < 0.1:
            slept.append(memory.histories[0].history.sealed_heads)
        await asyncio.sleep(seconds / 50)

    state = StateFiles(folder=tmp_path / "state", kept=Policy().history_kept, head_entries=HEAD, run=waiting.append)
    state.folder.mkdir()
    dependencies = MatcherDependencies(
        log=cast(EventLog, log),
        policy=Policy(),
        fingerprint_key=KEY,
        member_id="m",
        sleep=sleep,
        background=waiting.append,
        state=state,
        head_entries=HEAD,
    )
    matcher = Matcher(dependencies, memory)
    running = asyncio.create_task(matcher.run())
    try:
        await until(lambda: slept, what="the builder is waited for")
        assert memory.histories[0].history.sealed_heads <= MOST_SEALED + 2
        while memory.histories[0].history.admitted < RECORDS:
            await until(
                lambda: waiting or memory.histories[0].history.admitted == RECORDS, what="a segment to be built"
            )
            most = max(most, memory.histories[0].history.sealed_heads)
            for task in waiting[:]:
                waiting.remove(task)
                task()
        assert most <= MOST_SEALED + 2 < HEADS
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_a_disk_that_takes_nothing_is_not_waited_for(tmp_path: Path) -> None:
    """Finding goes on, in memory that grows; the failure is told (`history.not_built`)."""
    history = History(
        log_id="log",
        position=0,
        kept=KEPT,
        erasures_known_at=NOW,
        folder=tmp_path / "gone",
        run=at_once,
        head_entries=1,
    )
    for offset in range(2 * MOST_SEALED):
        history.admit([seen(offset, f"u{offset}", pdq(VALUES[0]))])
    assert history.sealed_heads > MOST_SEALED
    assert not history.behind
    assert history.take_failures()
