"""How soon confirmed content is matched with a sighting of before, while sightings flow."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import UUID

from bench.stream_figures import AIM_PER_SECOND
from bench.stream_load import IN_A_RECORD, content_of, sightings_record, sightings_records, values_of
from bench.stream_measured import Measured
from services.matcher.index.protocol import Hashes
from shared.contracts.event import decode
from shared.contracts.matches import MODELS, MatchFound
from shared.contracts.topics import MATCHES
from shared.log.kafka.log import KafkaLog
from shared.log.port import OutgoingRecord, TopicPartition

CONFIRMED_PER_SECOND = 10
FLOW_PER_SECOND = AIM_PER_SECOND * 11 // 10
"""The moments before and after the flow are measured, too: in all it is to be no less than the aim."""


async def confirmed(
    bootstrap: str, register: Hashes, process: Measured, *, seconds: float
) -> tuple[list[float], float]:
    """(milliseconds of each, sightings handled a second meanwhile).

    Each content's only fingerprint is that of a sighting which is in the history already.
    """
    log = KafkaLog(bootstrap)
    count = int(seconds * CONFIRMED_PER_SECOND)
    values = values_of(count, seed=3)
    fresh = _seen_once(values)
    flow = sightings_records(int(seconds * FLOW_PER_SECOND), register, pdq_values=1, seed=4)
    began: dict[UUID, float] = {}
    took: list[float] = []
    try:
        async with log.publisher() as publisher, log.publisher() as second, log.reader() as matches:
            await publisher.publish(fresh)
            places = [TopicPartition(topic=MATCHES.name, partition=number) for number in range(MATCHES.partitions)]
            await matches.assign({place: await log.end(place) for place in places})
            await asyncio.sleep(3)  # they are in the history by then
            before = _newest(process)

            async def watch() -> None:
                while True:
                    for record in await matches.read(timeout_seconds=0.2):
                        event = decode(MODELS, value=record.value, headers=record.headers).event
                        if isinstance(event, MatchFound) and event.content_id in began:
                            took.append(1000 * (time.monotonic() - began.pop(event.content_id)))

            async def load() -> None:
                start = time.monotonic()
                for number, record in enumerate(flow):
                    await asyncio.sleep(start + number * IN_A_RECORD / FLOW_PER_SECOND - time.monotonic())
                    await publisher.publish([record])

            watching, loading = asyncio.create_task(watch()), asyncio.create_task(load())
            for value in values:
                await asyncio.sleep(1 / CONFIRMED_PER_SECOND)
                record = content_of([value.tobytes().hex()])
                assert record.key is not None
                began[UUID(record.key.decode())] = time.monotonic()
                await second.publish([record])
            await loading
            after = _newest(process)
            deadline = time.monotonic() + 30
            while began and time.monotonic() < deadline:  # noqa: ASYNC110 - a bench may look
                await asyncio.sleep(0.05)
            assert not began, f"{len(began)} of {count} were not matched"
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    finally:
        await log.close()
    return took, (after["handled"] - before["handled"]) / (after["at"] - before["at"])


def _seen_once(values: Hashes) -> list[OutgoingRecord]:
    """Records of sightings, each with one of the values."""
    return [
        sightings_record(
            500_000_000 + start, [[value.tobytes().hex()] for value in values[start : start + IN_A_RECORD]]
        )
        for start in range(0, len(values), IN_A_RECORD)
    ]


def _newest(process: Measured) -> dict[str, Any]:
    """What the process says next, once all it said before is read."""
    while not process.said.empty():
        process.next()
    return process.next()
