"""The log port in memory, with virtual time: every wait is a gate that the explorer opens when it likes.

Offsets have holes after compaction; a group's partitions are moved by the explorer; an owner hears of it at its next poll, and
what it commits after that, or before it has heard, is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from shared.contracts.event import data_of
from shared.contracts.sightings import ERASURE_PUBLISHED_FOR, SightingsBatch, UrlErased
from shared.contracts.topics import CONTENT, MATCHES, SIGHTINGS, Topic
from shared.log.port import (
    Commit,
    CommitRefused,
    LogUnavailable,
    OffsetOutOfRange,
    OutgoingRecord,
    Polled,
    Publisher,
    Record,
    TopicPartition,
    TopicPartitionOffset,
)

PARTITIONS = 3
THE_CONTENT = TopicPartition(topic=CONTENT.name, partition=0)


def sightings(partition: int) -> TopicPartition:
    return TopicPartition(topic=SIGHTINGS.name, partition=partition)


@dataclass(eq=False)
class Gate:
    """Somewhere a process waits. `enabled`: opening it brings it something; else it is a time-out that passes."""

    process: str
    label: str
    enabled: Callable[[], bool]
    future: asyncio.Future[None]


class Gates:
    def __init__(self) -> None:
        self.waiting: list[Gate] = []

    async def wait(self, process: str, label: str, enabled: Callable[[], bool] = lambda: True) -> None:
        gate = Gate(process, label, enabled, asyncio.get_running_loop().create_future())
        self.waiting.append(gate)
        try:
            await gate.future
        finally:
            if gate in self.waiting:
                self.waiting.remove(gate)

    async def open(self, gate: Gate) -> None:
        """Let it through, and everything run until it waits again."""
        self.waiting.remove(gate)
        gate.future.set_result(None)
        await drain()


async def drain() -> None:
    """Until nothing can run before a gate opens."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # the loop does not tell in public
    while True:
        await asyncio.sleep(0)
        if not ready:
            return


@dataclass
class Partition:
    log_id: str
    records: list[Record] = field(default_factory=list)
    start: int = 0
    next: int = 0
    cleaned_at: dict[int, datetime] = field(default_factory=dict)
    """Tombstones: when compaction first saw them."""


@dataclass
class Member:
    """A process in the group. `assigned` and `revoked` are what it has not been told yet."""

    owned: set[int] = field(default_factory=set)
    assigned: set[int] = field(default_factory=set)
    revoked: set[int] = field(default_factory=set)
    positions: dict[int, int] = field(default_factory=dict)
    paused: set[int] = field(default_factory=set)


class Storage:
    """What the brokers hold, and the group's state."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.gates = Gates()
        self.generation = 0
        self.partitions: dict[TopicPartition, Partition] = {}
        self.recreate(CONTENT)
        self.recreate(SIGHTINGS)
        self.matches: list[OutgoingRecord] = []
        self.commits: dict[int, Commit] = {}
        self.members: dict[str, Member] = {}
        self.refuses_late_commits = True
        self.redacts = False
        """As on PostgreSQL: sightings of an erased URL are cleared from the log, and later what tells of the erasure."""
        self.failures: dict[str, int] = {}
        """Publishing fails so many times for a process."""
        self.on_publish: Callable[[str, Sequence[OutgoingRecord]], None] = lambda process, records: None
        self.on_assigned: Callable[[str, int], None] = lambda process, partition: None

    # The brokers

    def recreate(self, topic: Topic) -> None:
        self.generation += 1
        for number in range(PARTITIONS if topic is SIGHTINGS else 1):
            where = TopicPartition(topic=topic.name, partition=number)
            self.partitions[where] = Partition(log_id=f"cluster/{topic.name}-{self.generation}")

    def append(self, where: TopicPartition, outgoing: OutgoingRecord) -> int:
        partition = self.partitions[where]
        record = Record(
            topic=where.topic,
            partition=where.partition,
            offset=partition.next,
            append_time=self.now,
            key=outgoing.key,
            value=outgoing.value,
            headers=outgoing.headers,
        )
        partition.records.append(record)
        partition.next += 1
        return record.offset

    def compact(self) -> None:
        """Drop what a later record replaced. Waits for `min.compaction.lag`, and for no reader.

        A tombstone stays for `delete.retention` after the first compaction that saw it: what it replaced goes so long before it.
        """
        partition = self.partitions[THE_CONTENT]
        settled = self.now - CONTENT.min_compaction_lag
        newest = {record.key: record.offset for record in partition.records if record.append_time <= settled}
        kept = []
        for record in partition.records:
            replaced = record.append_time <= settled and newest[record.key] > record.offset
            forgotten = False
            if record.value is None and record.append_time <= settled:
                seen_at = partition.cleaned_at.setdefault(record.offset, self.now)
                forgotten = seen_at <= self.now - CONTENT.delete_retention
            if not replaced and not forgotten:
                kept.append(record)
        partition.records = kept

    def retain(self) -> None:
        """Drop sightings past their retention, as far as the group has read them."""
        limit = self.now - timedelta(days=180)
        for number in range(PARTITIONS):
            partition, commit = self.partitions[sightings(number)], self.commits.get(number)
            while partition.records and commit is not None:
                first = partition.records[0]
                if first.append_time > limit or first.offset >= commit.offset:
                    break
                partition.start = first.offset + 1
                partition.records.pop(0)

    def redact(self) -> None:
        """Clear sightings of erased URLs, and what has told of an erasure for long enough. Nothing is renumbered."""
        for number in range(PARTITIONS):
            partition = self.partitions[sightings(number)]
            erased = erasures_of(partition.records)
            told_since = self.now - ERASURE_PUBLISHED_FOR
            partition.records = [
                cleared
                for record in partition.records
                if (cleared := without_erased(record, erased)) is not None
                and (cleared.append_time > told_since or not erasures_of([cleared]))
            ]

    def lose_tail(self, where: TopicPartition, end: int) -> None:
        """A broker that had everything is gone, and the one that is left ends there."""
        partition = self.partitions[where]
        partition.records = [record for record in partition.records if record.offset < end]
        partition.next = end

    # The group

    def move(self, partition: int, to: str | None) -> None:
        for name, member in self.members.items():
            if partition in member.owned and name != to:
                member.owned.discard(partition)
                if partition in member.assigned:
                    member.assigned.discard(partition)
                else:
                    member.revoked.add(partition)
        if to is not None and partition not in self.members[to].owned:
            self.members[to].owned.add(partition)
            self.members[to].assigned.add(partition)

    def owner(self, partition: int) -> str | None:
        return next((name for name, member in self.members.items() if partition in member.owned), None)

    # Reading

    def read(self, where: TopicPartition, position: int, limit: int) -> tuple[list[Record], int]:
        partition = self.partitions[where]
        if not partition.start <= position <= partition.next:
            raise OffsetOutOfRange(partition=where)
        records = [record for record in partition.records if record.offset >= position][:limit]
        more = bool(records) and records[-1] is not partition.records[-1]
        return records, records[-1].offset + 1 if more else partition.next

    def has_more(self, where: TopicPartition, position: int) -> bool:
        return self.partitions[where].next != position


class SimLog:
    """`EventLog` as one process sees it."""

    needs_heartbeat = False

    @property
    def redacts(self) -> bool:
        return self._storage.redacts

    def __init__(self, storage: Storage, process: str) -> None:
        self._storage = storage
        self._process = process

    async def _gate(self, label: str, enabled: Callable[[], bool] = lambda: True) -> None:
        await self._storage.gates.wait(self._process, label, enabled)

    async def log_id(self, topic: str) -> str:
        await self._gate("log_id")
        return self._storage.partitions[TopicPartition(topic=topic, partition=0)].log_id

    async def beginning(self, partition: TopicPartition) -> int:
        await self._gate("beginning")
        return self._storage.partitions[partition].start

    async def end(self, partition: TopicPartition) -> int:
        await self._gate("end")
        end = self._storage.partitions[partition].next
        await self._gate("end told")
        return end

    @asynccontextmanager
    async def publisher(self, *, transactional_id: str | None = None) -> AsyncIterator[Publisher]:
        yield SimPublisher(self._storage, self._process)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[SimReader]:
        yield SimReader(self._storage, self._process)

    @asynccontextmanager
    async def group_reader(self, *, group: str, topics: Collection[str], member_id: str) -> AsyncIterator[SimGroup]:
        member = self._storage.members[self._process] = Member()
        for partition in range(PARTITIONS):
            if self._storage.owner(partition) is None:
                self._storage.move(partition, self._process)
        try:
            yield SimGroup(self._storage, self._process, member)
        finally:
            if self._storage.members.get(self._process) is member:
                del self._storage.members[self._process]


class SimPublisher:
    def __init__(self, storage: Storage, process: str) -> None:
        self._storage = storage
        self._process = process

    async def publish(self, records: Sequence[OutgoingRecord]) -> tuple[TopicPartitionOffset, ...]:
        storage = self._storage
        storage.on_publish(self._process, records)
        await storage.gates.wait(self._process, "publish")
        if storage.failures.get(self._process, 0) > 0:
            storage.failures[self._process] -= 1
            storage.matches.extend(records[: len(records) // 2])
            raise LogUnavailable
        storage.matches.extend(record for record in records if record.topic == MATCHES.name)
        await storage.gates.wait(self._process, "acknowledgement")
        return ()


class SimReader:
    def __init__(self, storage: Storage, process: str) -> None:
        self._storage = storage
        self._process = process
        self._positions: dict[TopicPartition, int] = {}

    async def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        self._positions = dict(positions)

    async def read(self, *, timeout_seconds: float, max_records: int = 1000) -> tuple[Record, ...]:
        ((where, position),) = self._positions.items()
        label = "content" if where == THE_CONTENT else "stretch"
        await self._storage.gates.wait(self._process, label, lambda: self._storage.has_more(where, position))
        records, self._positions[where] = self._storage.read(where, position, 3)
        return tuple(records)

    def position(self, partition: TopicPartition) -> int:
        return self._positions[partition]


class SimGroup:
    def __init__(self, storage: Storage, process: str, member: Member) -> None:
        self._storage = storage
        self._process = process
        self._member = member

    def _readable(self) -> list[int]:
        member = self._member
        return [
            number
            for number, position in member.positions.items()
            if number not in member.paused and self._storage.has_more(sightings(number), position)
        ]

    async def poll(self, *, timeout_seconds: float, max_records: int = 500) -> Polled:
        member = self._member
        await self._storage.gates.wait(
            self._process, "poll", lambda: bool(member.assigned or member.revoked or self._readable())
        )
        if member.assigned or member.revoked:
            return self._changes()
        read = {n: self._storage.read(sightings(n), member.positions[n], 3) for n in self._readable()}
        member.positions.update({number: position for number, (_, position) in read.items()})
        return Polled(records=tuple(record for records, _ in read.values() for record in records))

    def _changes(self) -> Polled:
        member = self._member
        assigned, revoked = set(member.assigned), set(member.revoked)
        member.assigned.clear()
        member.revoked.clear()
        for number in revoked:
            member.positions.pop(number, None)
            member.paused.discard(number)
        for number in assigned:
            commit = self._storage.commits.get(number)
            start = self._storage.partitions[sightings(number)].start
            member.positions[number] = start if commit is None else commit.offset
            member.paused.add(number)
            self._storage.on_assigned(self._process, number)
        return Polled(assigned=frozenset(map(sightings, assigned)), revoked=frozenset(map(sightings, revoked)))

    async def committed(self, partition: TopicPartition) -> Commit | None:
        await self._storage.gates.wait(self._process, "committed")
        return self._storage.commits.get(partition.partition)

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        storage, member = self._storage, self._member
        await storage.gates.wait(self._process, "commit")
        numbers = {partition.partition for partition in commits}
        mine = storage.members.get(self._process) is member and numbers <= member.owned - member.assigned
        if storage.refuses_late_commits and not mine:
            raise CommitRefused
        storage.commits.update({partition.partition: commit for partition, commit in commits.items()})
        await storage.gates.wait(self._process, "committed told")

    def position(self, partition: TopicPartition) -> int:
        return self._member.positions[partition.partition]

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition.partition in self._member.positions:
            self._member.positions[partition.partition] = offset

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        self._member.paused.update(partition.partition for partition in partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        self._member.paused.difference_update(partition.partition for partition in partitions)


def erasures_of(records: Sequence[Record]) -> dict[str, int]:
    """URL -> offset of its last erasure among these."""
    kind = UrlErased.TYPE.encode()
    return {
        UrlErased.model_validate_json(record.value or b"").url_key: record.offset
        for record in records
        if dict(record.headers).get("ce_type") == kind
    }


def without_erased(record: Record, erased: Mapping[str, int]) -> Record | None:
    """The record without sightings of URLs erased after it; None when there were no others."""
    if dict(record.headers).get("ce_type") != SightingsBatch.TYPE.encode():
        return record
    batch = SightingsBatch.model_validate_json(record.value or b"")
    kept = [one for one in batch.sightings if erased.get(one.url_key, -1) < record.offset]
    if len(kept) == len(batch.sightings):
        return record
    return replace(record, value=data_of(SightingsBatch(sightings=tuple(kept)))) if kept else None
