"""What `/metrics` says of the matcher's histories."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from types import SimpleNamespace
from typing import cast

import httpx
from prometheus_client.parser import text_string_to_metric_families

from services.matcher.consumer.commits import LogIdentities
from services.matcher.consumer.maintenance import MEASURED, Maintenance
from services.matcher.consumer.partitions import (
    GROUP,
    MatcherDependencies,
    PartitionState,
    ProcessCache,
    SharedHistory,
)
from services.matcher.history.history import ALIKE, History
from services.matcher.register.register import Register
from shared.contracts.topics import CONTENT, DEAD_LETTERS, MATCHES, SIGHTINGS
from shared.log.port import EventLog, TopicPartition
from shared.media.fingerprints import Fingerprint
from shared.policy import Policy
from shared.process.settings import Settings
from shared.service.app import create_app
from shared.service.runtime import Runtime
from tests.matcher_world import KEY, running_matcher, seen_value, sighting, sightings_record, until
from tests.memory_log import MemoryLog
from tests.unit.matcher.test_history import pdq, seen

PARTITION = TopicPartition(topic=SIGHTINGS.name, partition=0)


class Metrics:
    """As a scrape of the matcher's `/metrics` finds them."""

    def __init__(self) -> None:
        app = create_app(cast(Runtime, SimpleNamespace(policy=Policy(), database=None, settings=Settings())), [])
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://matcher.test")

    async def value(self, name: str, **labels: str) -> float | None:
        text = (await self._client.get("/metrics")).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return None

    async def until(self, good: Callable[[float | None], bool], name: str, **labels: str) -> None:
        """Raises TimeoutError."""
        async with asyncio.timeout(20):
            while not good(await self.value(name, **labels)):  # noqa: ASYNC110 - a scrape tells nobody
                await asyncio.sleep(0.01)


def a_log(sightings: int) -> MemoryLog:
    log = MemoryLog(partitions={one.name: 1 for one in (CONTENT, SIGHTINGS, MATCHES, DEAD_LETTERS)})
    for number in range(sightings):
        record = sightings_record(sighting(f"https://a.test/{number}", seen_value(random.Random(number).randbytes(32))))
        log.append(replace(record, partition=0))
    return log


async def test_records_that_are_gone_from_the_end_of_the_log_are_no_lag() -> None:
    log, metrics = a_log(5), Metrics()
    log.removed |= {(PARTITION, offset) for offset in range(5)}
    partition = {"group": GROUP, "topic": SIGHTINGS.name, "partition": "0"}
    async with running_matcher(cast(EventLog, log), faster=50):
        await until(lambda: PARTITION in log.commits and log.commits[PARTITION].offset == 5, what="their commit")
        await metrics.until(lambda lag: lag == 0, "takedown_lag_records", **partition)


SEGMENT = 20_500
"""Enough for an index of chunks, whose candidates are counted."""
NAMES = ("merges_total", "merge_seconds_total", "queries_total", "candidates_total", "scans_total")


async def of_histories(metrics: Metrics) -> dict[str, float]:
    """Of partition 7, where there is a label."""
    names = ("head_entries", "index_bytes", *NAMES)
    found = {name: await metrics.value(f"takedown_history_{name}", partition="7") for name in names[:4]}
    found |= {name: await metrics.value(f"takedown_history_{name}") for name in names[4:]}
    return {name: value or 0.0 for name, value in found.items()}


async def test_the_indexes_of_histories_are_in_the_metrics() -> None:
    """What a history counts in its life, across sessions, and what went with a segment that was merged."""
    now, metrics, rng = datetime(2026, 1, 1, tzinfo=UTC), Metrics(), random.Random(3)
    before = await of_histories(metrics)
    history = History(
        log_id="log", position=0, kept=Policy().history_kept, erasures_known_at=now, partition=7, head_entries=SEGMENT
    )
    owned = PartitionState(
        partition=TopicPartition(topic=SIGHTINGS.name, partition=7),
        shared=SharedHistory(history=history, written_at=now),
    )
    crowd = pdq(rng.randbytes(32))

    async def measured() -> dict[str, float]:
        """By a session of its own."""
        moments = iter((now, now + 2 * MEASURED))
        dependencies = MatcherDependencies(
            log=cast(EventLog, None), policy=Policy(), fingerprint_key=KEY, member_id="m", clock=lambda: next(moments)
        )
        register = Register(log_id="log", started_at=now)
        house = Maintenance(dependencies, ProcessCache(), register, LogIdentities(content="c", sightings="s"))
        await house.measure({owned.partition: owned})
        after = await of_histories(metrics)
        return {name: after[name] - before[name] * name.endswith("_total") for name in after}

    offsets = iter(range(10 * SEGMENT))

    def remember(count: int, *more: Fingerprint) -> None:
        one = (pdq(rng.randbytes(32)) for _ in range(count))
        history.admit([seen(offset, f"u{offset}", *(next(one), *more)) for offset in islice(offsets, count)])

    remember(100)
    history.search([crowd, crowd])
    assert await measured() == {
        "head_entries": 100, "index_bytes": 0, "merges_total": 0, "merge_seconds_total": 0, "queries_total": 2,
        "candidates_total": 0, "scans_total": 0,
    }  # fmt: skip

    remember(SEGMENT // 2, crowd)
    history.upkeep(now)
    history.search([crowd])
    built = await measured()
    assert (built["head_entries"], built["merges_total"], built["queries_total"]) == (0, 1, 3)
    assert built["merge_seconds_total"] > 0
    assert built["candidates_total"] >= SEGMENT // 2
    assert built["index_bytes"] > SEGMENT * 40
    assert await measured() == built

    for _ in range(ALIKE - 1):
        remember(SEGMENT)
        history.upkeep(now)
    merged = await measured()
    assert merged["merges_total"] == ALIKE
    assert merged["candidates_total"] == built["candidates_total"]
    history.search([crowd])
    crowded = await measured()
    assert crowded["queries_total"] == 4
    assert crowded["candidates_total"] >= merged["candidates_total"] + SEGMENT // 2
