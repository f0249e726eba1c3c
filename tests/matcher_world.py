"""Content, sightings and matchers for the matcher's tests on a real log."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

from services.matcher.consumer.partitions import MatcherDependencies, ProcessCache
from services.matcher.consumer.worker import Matcher
from services.matcher.history.history import HEAD_ENTRIES
from services.matcher.sightings.batch import SeenBatch
from services.matcher.sightings.sighting import StoredSighting
from services.matcher.state.files import StateFiles
from shared.contracts.content import Assurance, ContentChanged, ContentState, NegativeEntry, RegisteredFingerprint
from shared.contracts.event import Event, data_of, decode, headers_of
from shared.contracts.matches import MODELS, MatchFound, SightingUnmatched
from shared.contracts.sightings import SeenFingerprint, Sighting, SightingData, SightingsBatch, UrlErased
from shared.contracts.topics import CONTENT, MATCHES, SIGHTINGS
from shared.log.partitioner import partition_of
from shared.log.port import EventLog, OutgoingRecord, Reader, Record, TopicPartition
from shared.policy import Policy

KEY = b"k" * 32
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def registered(value: bytes, algorithm: str = "pdq", **more: object) -> RegisteredFingerprint:
    quality = 90 if algorithm == "pdq" else None
    return RegisteredFingerprint.model_validate(
        {"algorithm": algorithm, "value": value.hex(), "quality": quality, "assurance": Assurance.VIEWED, **more}
    )


def seen_value(value: bytes, algorithm: str = "pdq", **more: object) -> SeenFingerprint:
    quality = 90 if algorithm == "pdq" else None
    return SeenFingerprint.model_validate({"algorithm": algorithm, "value": value.hex(), "quality": quality, **more})


def near(value: bytes, bits: int) -> bytes:
    """`value` with exactly so many bits changed."""
    number = int.from_bytes(value)
    for bit in random.sample(range(8 * len(value)), bits):
        number ^= 1 << bit
    return number.to_bytes(len(value))


def content(
    content_id: UUID, revision: int, *fingerprints: RegisteredFingerprint, state: ContentState = ContentState.ACTIVE
) -> ContentChanged:
    return ContentChanged(
        content_id=content_id, revision=revision, state=state, fingerprints=fingerprints, changed_at=NOW
    )


def sighting(
    url: str, *fingerprints: SeenFingerprint, report_id: UUID | None = None, page_url: str | None = None
) -> Sighting:
    return Sighting(
        sighting_id=uuid4(),
        organisation_id="helpline",
        source="crawler",
        media_url=url,
        url_key=url,
        page_url=page_url,
        seen_at=NOW,
        report_id=report_id,
        fingerprints=fingerprints,
    )


def as_batch(*sightings: StoredSighting) -> SeenBatch:
    """A record of these sightings, which stand at one offset."""
    data = [
        SightingData(
            sighting_id=str(one.sighting_id),
            organisation_id="helpline",
            source=one.source,
            media_url=one.media_url,
            url_key=one.url_key,
            key_version=one.key_version,
            page_url=one.page_url,
            seen_at=one.seen_at,
            report_id=None if one.report_id is None else str(one.report_id),
            reported_by=one.reported_by,
            fingerprints=[
                {"algorithm": of.algorithm.value, "value": of.hex, "quality": of.quality, "orientation": of.orientation}
                for of in one.fingerprints
            ],
        )
        for one in sightings
    ]
    first = sightings[0]
    return SeenBatch(
        data,
        partition=first.partition,
        offset=first.offset,
        appended_at=first.appended_at,
        traceparent=first.traceparent,
    )


def record_of(event: Event, *, topic: str, key: str | None, partition: int | None = None) -> OutgoingRecord:
    return OutgoingRecord(
        topic=topic,
        key=None if key is None else key.encode(),
        value=data_of(event),
        headers=headers_of(type(event), event_id=uuid4(), source="test", time=NOW),
        partition=partition,
    )


def content_record(event: ContentChanged) -> OutgoingRecord:
    return record_of(event, topic=CONTENT.name, key=str(event.content_id))


def negative_entry(value: bytes, algorithm: str = "pdq") -> NegativeEntry:
    return NegativeEntry.model_validate(
        {"entry_id": uuid4(), "algorithm": algorithm, "value": value.hex(), "confirmed_at": NOW}
    )


def negative_record(event: NegativeEntry) -> OutgoingRecord:
    return record_of(event, topic=CONTENT.name, key=str(event.entry_id))


def partition_of_url(url: str) -> int:
    return partition_of(url.encode(), SIGHTINGS.partitions)


def sightings_record(*sightings: Sighting) -> OutgoingRecord:
    partition = partition_of_url(sightings[0].url_key)
    return record_of(SightingsBatch(sightings=sightings), topic=SIGHTINGS.name, key=None, partition=partition)


def erasure_record(url: str) -> OutgoingRecord:
    event = UrlErased(url_key=url, erased_at=NOW)
    return record_of(event, topic=SIGHTINGS.name, key=None, partition=partition_of_url(url))


@dataclass
class MatchesSeen:
    """Everything on `takedown.matches`, as it comes."""

    events: list[tuple[str, Event]] = field(default_factory=list)
    """(ce_id, event)"""

    @property
    def matches(self) -> list[MatchFound]:
        return [event for _, event in self.events if isinstance(event, MatchFound)]

    def sightings_of(self, content_id: UUID) -> set[UUID | None]:
        return {event.sighting_id for event in self.matches if event.content_id == content_id}

    def reports(self) -> set[UUID | None]:
        return {event.report_id for _, event in self.events if isinstance(event, MatchFound | SightingUnmatched)}

    def pairs(self) -> set[tuple[UUID, UUID | None]]:
        return {(event.content_id, event.sighting_id) for event in self.matches}


@asynccontextmanager
async def watch_matches(log: EventLog) -> AsyncIterator[MatchesSeen]:
    seen = MatchesSeen()
    async with log.reader() as reader:
        partitions = [TopicPartition(topic=MATCHES.name, partition=n) for n in range(MATCHES.partitions)]
        await reader.assign({partition: await log.end(partition) for partition in partitions})

        async def follow() -> None:
            while True:
                for record in await reader.read(timeout_seconds=0.2):
                    envelope = decode(MODELS, value=record.value, headers=record.headers)
                    assert envelope.event is not None
                    seen.events.append((envelope.id, envelope.event))

        task = asyncio.create_task(follow())
        try:
            yield seen
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def running_matcher(
    log: EventLog,
    *,
    member_id: str = "m",
    memory: ProcessCache | None = None,
    ready: bool = True,
    policy: Policy | None = None,
    state: StateFiles | None = None,
    head_entries: int = HEAD_ENTRIES,
    faster: float = 1,
) -> AsyncIterator[Matcher]:
    """With `state` it stops in order, so that its files are as committed. `faster`: what is done every few seconds is done soon."""
    began = datetime.now(UTC)
    dependencies = MatcherDependencies(
        log=log,
        policy=policy or Policy(),
        fingerprint_key=KEY,
        member_id=member_id,
        clock=lambda: began + faster * (datetime.now(UTC) - began),
        sleep=lambda seconds: asyncio.sleep(seconds / faster),
        state=state,
        head_entries=head_entries,
    )
    matcher = Matcher(dependencies, memory)
    task = asyncio.create_task(matcher.run())
    try:
        if ready:
            await until(lambda: task.done() or not matcher.not_ready(), what="ready")
        yield matcher
    finally:
        task.cancel()
        outcome = (await asyncio.gather(task, return_exceptions=True))[0]
        if not isinstance(outcome, asyncio.CancelledError):
            raise outcome if isinstance(outcome, BaseException) else AssertionError("it ended by itself")
        await matcher.close()


class CountedLog:
    """A log, and how many records were read of each topic through it, not counting what a group is given."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.read: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        async with self._log.reader() as reader:
            yield cast(Reader, _CountedReader(reader, self.read))


class _CountedReader:
    def __init__(self, reader: Reader, read: Counter[str]) -> None:
        self._reader = reader
        self._read = read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def read(self, **how: Any) -> tuple[Record, ...]:
        records = tuple(await self._reader.read(**how))
        self._read.update(record.topic for record in records)
        return records


async def until(condition: Callable[[], object], *, what: str, seconds: float = 20) -> None:
    """Wait for a condition; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.005)


async def publish(log: EventLog, records: Sequence[OutgoingRecord]) -> None:
    async with log.publisher() as publisher:
        await publisher.publish(records)
