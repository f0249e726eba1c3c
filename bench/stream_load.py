"""What `bench.stream` loads: contents and records of sightings, made as text, since models would take longer than what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import numpy as np

from services.matcher.index.protocol import Hashes
from shared.contracts.content import ContentChanged
from shared.contracts.event import headers_of
from shared.contracts.sightings import SightingsBatch
from shared.contracts.topics import CONTENT, DEAD_LETTERS, MATCHES, SIGHTINGS
from shared.log.kafka.log import KafkaLog
from shared.log.port import OutgoingRecord, TopicPartition

IN_A_RECORD = 150
NEAR_ONE_IN = 200
FINGERPRINTS_PER_CONTENT = 100
PUBLISHED_AT_ONCE = 200
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def near(value: bytes, bits: int, rng: np.random.Generator) -> bytes:
    number = int.from_bytes(value)
    for bit in rng.choice(256, size=bits, replace=False).tolist():
        number ^= 1 << bit
    return number.to_bytes(32)


def values_of(count: int, seed: int) -> Hashes:
    return np.random.default_rng(seed).integers(0, 256, size=(count, 32), dtype=np.uint8)


def outgoing(
    event: type[ContentChanged] | type[SightingsBatch], value: str, *, key: UUID | None, partition: int | None
) -> OutgoingRecord:
    return OutgoingRecord(
        topic=CONTENT.name if event is ContentChanged else SIGHTINGS.name,
        key=None if key is None else str(key).encode(),
        value=value.encode(),
        headers=headers_of(event, event_id=uuid4(), source="intake", time=NOW),
        partition=partition,
    )


def content_of(values: Sequence[str]) -> OutgoingRecord:
    content_id = uuid4()
    fingerprints = ",".join(
        f'{{"algorithm":"pdq","value":"{value}","quality":90,"origin":"original","orientation":"identity","assurance":"viewed"}}'
        for value in values
    )
    text = (
        f'{{"content_id":"{content_id}","revision":1,"state":"active","assurance":"viewed","fingerprints":[{fingerprints}],'
        '"changed_at":"2026-03-01T00:00:00Z"}'
    )
    return outgoing(ContentChanged, text, key=content_id, partition=None)


def contents(values: Hashes) -> Iterator[OutgoingRecord]:
    for start in range(0, len(values), FINGERPRINTS_PER_CONTENT):
        yield content_of([value.tobytes().hex() for value in values[start : start + FINGERPRINTS_PER_CONTENT]])


def sightings_record(number: int, values: Sequence[Sequence[str]]) -> OutgoingRecord:
    """`values`: of each sighting its PDQ value, and that of its mirror."""
    parts = []
    for place, seen in enumerate(values):
        url = f"https://cdn{place % 50}.example-host.test/media/2026/11/{number:08x}{place:04x}.jpg"
        fingerprints = ",".join(
            f'{{"algorithm":"pdq","value":"{value}","quality":88,"orientation":"{turned}"}}'
            for value, turned in zip(seen, ("identity", "mirror"), strict=False)
        )
        parts.append(
            f'{{"sighting_id":"{uuid4()}","organisation_id":"crawler-org","source":"crawler","media_url":"{url}","url_key":"{url}",'
            f'"key_version":1,"page_url":"https://www.example-host.test/page/{number}-{place}",'
            f'"seen_at":"2026-03-01T00:00:00.000000Z","fingerprints":[{fingerprints}]}}'
        )
    text = f'{{"sightings":[{",".join(parts)}]}}'
    return outgoing(SightingsBatch, text, key=None, partition=number % SIGHTINGS.partitions)


def sightings_records(count: int, register: Hashes, *, pdq_values: int, seed: int) -> list[OutgoingRecord]:
    rng = np.random.default_rng(seed)
    seen = rng.integers(0, 256, size=(count, pdq_values, 32), dtype=np.uint8)
    for place in range(0, count, NEAR_ONE_IN):
        value = register[rng.integers(0, len(register))].tobytes()
        seen[place, 0] = np.frombuffer(near(value, int(rng.integers(0, 32)), rng), dtype=np.uint8)
    return [
        sightings_record(
            seed * 1_000_000 + number,
            [[value.tobytes().hex() for value in one] for one in seen[start : start + IN_A_RECORD]],
        )
        for number, start in enumerate(range(0, count, IN_A_RECORD))
    ]


async def publish_all(bootstrap: str, records: Iterator[OutgoingRecord], *, transactional: bool) -> None:
    log = KafkaLog(bootstrap)
    try:
        async with log.publisher(transactional_id="bench" if transactional else None) as publisher:
            some: list[OutgoingRecord] = []
            for record in records:
                some.append(record)
                if len(some) == PUBLISHED_AT_ONCE:
                    await publisher.publish(some)
                    some = []
            await publisher.publish(some)
    finally:
        await log.close()


async def ends(bootstrap: str) -> dict[int, int]:
    """Of each partition of sightings."""
    log = KafkaLog(bootstrap)
    try:
        return {
            number: await log.end(TopicPartition(topic=SIGHTINGS.name, partition=number))
            for number in range(SIGHTINGS.partitions)
        }
    finally:
        await log.close()


async def make_topics(bootstrap: str) -> None:
    log = KafkaLog(bootstrap)
    try:
        await log.ensure_topics([CONTENT, SIGHTINGS, MATCHES, DEAD_LETTERS])
    finally:
        await log.close()
