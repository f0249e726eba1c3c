"""The log port: what every service may ask of the event log. `kafka/` and `postgres/` keep it; one contract suite checks both.

What an offset means: the position of a record in its partition. Offsets increase, with holes (compaction, transactions).
A *position* is the offset of the next record to read: reading up to `target` ends when position >= target, never on a record.
A commit of offset S says: everything below S has had its effect. No commit means earliest.
Publishing to several partitions is not atomic: a cut publish leaves any subset on Kafka, all or nothing on PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shared.contracts.topics import Topic
from shared.errors import Permanent, Transient

MAX_RECORD_BYTES = 1_000_000
"""Key, value and headers of one record together; a little under Kafka's default `max.message.bytes`."""


MAX_METADATA_BYTES = 4096
"""Kafka's default `offset.metadata.max.bytes`."""

HEARTBEAT_KEY = b"00000000-0000-0000-0000-000000000000"
"""The key of a tombstone that names nothing. Kafka compacts a segment only when a later record starts another: see `needs_heartbeat`."""


class LogUnavailable(Transient):
    """The event log cannot be reached."""


class LogRefusesUs(LogUnavailable):
    """The event log is there and does not let us in. A running service tries again, since whoever runs the log may change that; a start
    ends with this message."""

    of_the_settings = True


class UnknownTopic(Permanent):
    """The topic does not exist on this log."""


class RecordTooLarge(Permanent):
    """The record is larger than the log takes."""


class RecordRefused(Permanent):
    """The log does not take this record: one without a key on a compacted topic, or a value that cannot be stored."""


class CommitRefused(Permanent):
    """The partition has another owner now; what was done is done again by that owner."""


class MemberReplaced(Permanent):
    """Another process has joined the group under this member's id."""


class PublisherFenced(Permanent):
    """A newer publisher with the same transactional id has taken over."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class TopicPartition:
    """A partition of a topic."""

    topic: str
    partition: int


class OffsetOutOfRange(Permanent):
    """The position is before the first kept record or past the end of the partition."""

    def __init__(self, detail: str = "", *, partition: TopicPartition | None = None) -> None:
        super().__init__(detail)
        self.partition = partition
        """The partition to seek in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingRecord:
    """A record to publish. Partition None: murmur2(key) mod n, the same on both logs. Value None: a tombstone."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None

    @property
    def size_bytes(self) -> int:
        """Key, value and headers together; at most MAX_RECORD_BYTES."""
        headers = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record read. `append_time` is when the log took it, aware UTC."""

    topic: str
    partition: int
    offset: int
    append_time: datetime
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def topic_partition(self) -> TopicPartition:
        return TopicPartition(topic=self.topic, partition=self.partition)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A committed position: the offset of the next record to handle, and up to 4,096 bytes of metadata (else ValueError)."""

    offset: int
    metadata: str = ""

    def __post_init__(self) -> None:
        if len(self.metadata.encode()) > MAX_METADATA_BYTES:
            raise ValueError("commit metadata is longer than the log takes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """What a poll brought.

    `assigned` partitions are new since the last poll: they are *paused* at their committed position (or the earliest) until `resume`.
    `revoked` ones are no longer owned: their commits are refused from here on. Both are given before any of their records.
    """

    records: tuple[Record, ...] = ()
    assigned: frozenset[TopicPartition] = field(default_factory=frozenset)
    revoked: frozenset[TopicPartition] = field(default_factory=frozenset)


class Publisher(Protocol):
    """Publishes records."""

    async def publish(self, records: Sequence[OutgoingRecord]) -> tuple[TopicPartitionOffset, ...]:
        """Append in order; returns when the log has acknowledged all, durably, with where each stands.

        Raises UnknownTopic, RecordTooLarge, RecordRefused (nothing of the call is published), PublisherFenced, LogUnavailable
        (unknown outcome: any subset may stand; publish again).
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPartitionOffset:
    """An offset in a partition."""

    topic: str
    partition: int
    offset: int


class Reader(Protocol):
    """Reads chosen partitions, without a group."""

    async def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Read these partitions from these positions; replaces what was assigned. Raises UnknownTopic, LogUnavailable."""
        ...

    async def read(self, *, timeout_seconds: float, max_records: int = 1000) -> tuple[Record, ...]:
        """The next committed records, in order within a partition; empty when none came within the time-out.

        Raises OffsetOutOfRange, LogUnavailable.
        """
        ...

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record to read. Moves over holes also when no record is returned."""
        ...


class GroupReader(Protocol):
    """Reads as a member of a group: each partition has one owner in the group."""

    async def poll(self, *, timeout_seconds: float, max_records: int = 500) -> Polled:
        """Changes of ownership and the next records of owned, resumed partitions. Must be called often (every few seconds).

        Raises OffsetOutOfRange, LogUnavailable, and on Kafka MemberReplaced (on PostgreSQL the older process waits its turn).
        """
        ...

    async def committed(self, partition: TopicPartition) -> Commit | None:
        """The group's last commit of this partition."""
        ...

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        """Commit positions with metadata; an offset may go down. Raises CommitRefused where a partition is not owned any more."""
        ...

    def position(self, partition: TopicPartition) -> int: ...

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`. Records already fetched from beyond are dropped."""
        ...

    def pause(self, partitions: Collection[TopicPartition]) -> None: ...

    def resume(self, partitions: Collection[TopicPartition]) -> None: ...


class EventLog(Protocol):
    """A log: Apache Kafka or PostgreSQL."""

    @property
    def redacts(self) -> bool:
        """Whether `redact` does anything: then the event of an erasure is itself gone from the log after a while."""
        ...

    @property
    def needs_heartbeat(self) -> bool:
        """Whether a quiet compacted partition must be written to now and then, since what is in it is never compacted otherwise."""
        ...

    async def ensure_topics(self, topics: Collection[Topic]) -> None:
        """Create what is missing, with the retention and compaction of `topics`; existing topics' retention is brought up to date.

        Raises BadSettings when an existing topic has another number of partitions: that is fixed once created.
        """
        ...

    async def missing_topics(self, topics: Collection[Topic]) -> tuple[str, ...]:
        """The names in `topics` that do not exist."""
        ...

    async def partitions_of(self, topic: str) -> int:
        """How many partitions the topic has. Raises UnknownTopic."""
        ...

    async def log_id(self, topic: str) -> str:
        """`cluster/topic id`: another after the topic is made anew. Raises UnknownTopic."""
        ...

    async def beginning(self, partition: TopicPartition) -> int:
        """The first offset still kept."""
        ...

    async def end(self, partition: TopicPartition) -> int:
        """The offset the next committed record will have or exceed (Kafka: the last stable offset)."""
        ...

    async def offset_at(self, partition: TopicPartition, moment: datetime) -> int:
        """The first offset appended at or after `moment`; the end where there is none."""
        ...

    def publisher(self, *, transactional_id: str | None = None) -> AbstractAsyncContextManager[Publisher]:
        """Idempotent, acks=all. With a transactional id a newer publisher of that id fences the older."""
        ...

    def reader(self) -> AbstractAsyncContextManager[Reader]: ...

    def group_reader(
        self, *, group: str, topics: Collection[str], member_id: str
    ) -> AbstractAsyncContextManager[GroupReader]:
        """Join a group. `member_id` is the static membership id (Kafka: `group.instance.id`)."""
        ...

    async def redact(
        self, topic: str, *, containing: Collection[bytes], rewrite: Callable[[bytes], bytes | None]
    ) -> int:
        """For an erasure: rewrite (None: remove) every value that contains one of the byte strings; returns how many.

        Kafka cannot: it does nothing and returns 0; there retention and compaction alone end them.
        """
        ...

    async def run_maintenance(self) -> None:
        """Retention and compaction, until cancelled. On Kafka the brokers do that: returns at once."""
        ...

    async def close(self) -> None: ...
