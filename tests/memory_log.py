"""The log port in memory, for one process and in real time; `tests/simulation/join/log.py` is the one with virtual time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.log.partitioner import partition_of
from shared.log.port import Commit, OutgoingRecord, Polled, Record, TopicPartition, TopicPartitionOffset


@dataclass
class MemoryLog:
    """`partitions`: how many each topic has. `removed`: where there is no record any more, as after compaction or a redaction."""

    partitions: Mapping[str, int]
    records: defaultdict[TopicPartition, list[Record]] = field(default_factory=lambda: defaultdict(list))
    commits: dict[TopicPartition, Commit] = field(default_factory=dict)
    grown: asyncio.Condition = field(default_factory=asyncio.Condition)
    redacts: bool = False
    removed: set[tuple[TopicPartition, int]] = field(default_factory=set)

    async def log_id(self, topic: str) -> str:
        return f"memory/{topic}"

    async def beginning(self, partition: TopicPartition) -> int:
        return 0

    async def end(self, partition: TopicPartition) -> int:
        return len(self.records[partition])

    async def publish(self, records: Sequence[OutgoingRecord]) -> tuple[TopicPartitionOffset, ...]:
        for one in records:
            self.append(one)
        async with self.grown:
            self.grown.notify_all()
        return ()

    def append(self, one: OutgoingRecord) -> None:
        number = one.partition
        if number is None:
            number = partition_of(one.key or b"", self.partitions[one.topic])
        place = self.records[TopicPartition(topic=one.topic, partition=number)]
        place.append(
            Record(
                topic=one.topic,
                partition=number,
                offset=len(place),
                append_time=datetime.now(UTC),
                key=one.key,
                value=one.value,
                headers=one.headers,
            )
        )

    @asynccontextmanager
    async def publisher(self, *, transactional_id: str | None = None) -> AsyncIterator[MemoryLog]:
        yield self

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[MemoryReader]:
        yield MemoryReader(self)

    @asynccontextmanager
    async def group_reader(
        self, *, group: str, topics: Collection[str], member_id: str
    ) -> AsyncIterator[MemoryGroupReader]:
        owned = {
            TopicPartition(topic=topic, partition=number)
            for topic in topics
            for number in range(self.partitions[topic])
        }
        yield MemoryGroupReader(self, owned)


class MemoryReader:
    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    async def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        self._positions = dict(positions)

    async def read(self, *, timeout_seconds: float, max_records: int = 1000) -> tuple[Record, ...]:
        try:
            async with asyncio.timeout(timeout_seconds), self._log.grown:
                await self._log.grown.wait_for(lambda: any(map(self._left, self._positions)))
        except TimeoutError:
            return ()
        found: list[Record] = []
        for partition in self._positions:
            some = self._log.records[partition][self._positions[partition] :][: max_records - len(found)]
            if partition not in self._paused:
                self._positions[partition] += len(some)
                found.extend(one for one in some if (partition, one.offset) not in self._log.removed)
        return tuple(found)

    def _left(self, partition: TopicPartition) -> bool:
        return partition not in self._paused and self._positions[partition] < len(self._log.records[partition])

    def position(self, partition: TopicPartition) -> int:
        return self._positions[partition]


class MemoryGroupReader(MemoryReader):
    def __init__(self, log: MemoryLog, owned: set[TopicPartition]) -> None:
        super().__init__(log)
        self._new = frozenset(owned)

    async def poll(self, *, timeout_seconds: float, max_records: int = 500) -> Polled:
        if self._new:
            assigned, self._new = self._new, frozenset()
            self._paused = set(assigned)
            commits = {one: self._log.commits.get(one) for one in assigned}
            self._positions = {one: 0 if commit is None else commit.offset for one, commit in commits.items()}
            return Polled(assigned=assigned)
        return Polled(records=await self.read(timeout_seconds=timeout_seconds, max_records=max_records))

    async def committed(self, partition: TopicPartition) -> Commit | None:
        return self._log.commits.get(partition)

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        self._log.commits.update(commits)

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        self._positions[partition] = offset

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        self._paused |= set(partitions)

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        self._paused -= set(partitions)
        self._wake = asyncio.create_task(self._wake_readers())

    async def _wake_readers(self) -> None:
        async with self._log.grown:
            self._log.grown.notify_all()
