"""Reading on Kafka, alone and as a member of a group; `read_committed`, positions given explicitly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import aiokafka
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalStateError, NoOffsetForPartitionError

from shared.log.kafka.access import KafkaAccess
from shared.log.kafka.client import (
    REQUEST_TIMEOUT_MS,
    KafkaAdmin,
    kafka_partition,
    port_errors,
    port_partition,
)
from shared.log.port import (
    Commit,
    CommitRefused,
    LogUnavailable,
    MemberReplaced,
    Polled,
    Record,
    TopicPartition,
    UnknownTopic,
)

log = structlog.get_logger(__name__)

_FETCH_WAIT_MS = 200
"""A fetch under way delays what was resumed or sought meanwhile by so much; new records end it at once."""
_SLICE_SECONDS = 0.25
"""How soon a poll tells a change of ownership; during a rebalance aiokafka's own poll would wait for its end."""
_HEARTBEAT_MS = 1000
_STOP_SECONDS = 5.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def consumer(access: KafkaAccess, **settings: object) -> AIOKafkaConsumer:
    """A consumer that decides nothing by itself: no automatic commit, no automatic reset."""
    return AIOKafkaConsumer(
        **access.client_settings,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        request_timeout_ms=REQUEST_TIMEOUT_MS,
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        **settings,
    )


async def stop(reader: AIOKafkaConsumer) -> None:
    """Close it, also when the broker does not answer, and when one of its tasks was cancelled before it had begun."""
    stopping = asyncio.create_task(reader.stop())
    await asyncio.wait({stopping}, timeout=_STOP_SECONDS)
    if not stopping.done() or stopping.cancelled() or stopping.exception() is not None:
        stopping.cancel()
        await asyncio.gather(stopping, reader._client.close(), return_exceptions=True)  # it has no public way


def _record(message: aiokafka.ConsumerRecord) -> Record:
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        append_time=_appended(message.timestamp),
        key=message.key,
        value=message.value,
        headers=tuple((name, bytes(value or b"")) for name, value in message.headers),  # a header may have none
    )


def _appended(milliseconds: int) -> datetime:
    """The time of a record. Where the topic keeps the producer's, a producer may write any time: one outside the calendar counts as
    none."""
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return _EPOCH


async def _read_slice(reader: AIOKafkaConsumer, seconds: float, max_records: int) -> tuple[Record, ...]:
    """What is there within a slice of time. Cutting aiokafka's poll off loses nothing: it takes records without waiting."""
    found: dict[aiokafka.TopicPartition, list[aiokafka.ConsumerRecord]] = {}
    with port_errors():
        try:
            async with asyncio.timeout(seconds + 0.05):
                found = await reader.getmany(timeout_ms=int(seconds * 1000), max_records=max_records)
        except TimeoutError:
            return ()
        except NoOffsetForPartitionError:
            return ()  # noticed before we gave the position; it is given by now, or will be
    return tuple(_record(message) for messages in found.values() for message in messages)


class KafkaReader:
    """Reads chosen partitions on Kafka, without a group."""

    def __init__(self, reader: AIOKafkaConsumer, partitions_of: Callable[[str], Awaitable[int]]) -> None:
        self._reader = reader
        self._partitions_of = partitions_of
        self._positions: dict[TopicPartition, int] = {}

    async def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        for partition in positions:  # aiokafka would wait for an unknown one
            if not 0 <= partition.partition < await self._partitions_of(partition.topic):
                raise UnknownTopic(f"{partition.topic}/{partition.partition}")
        self._reader.assign([kafka_partition(partition) for partition in positions])
        for partition, offset in positions.items():
            self._reader.seek(kafka_partition(partition), offset)
        self._positions = dict(positions)

    async def read(self, *, timeout_seconds: float, max_records: int = 1000) -> tuple[Record, ...]:
        deadline = time.monotonic() + timeout_seconds
        while True:
            left = deadline - time.monotonic()
            records: tuple[Record, ...] = ()
            if self._positions:
                records = await _read_slice(self._reader, max(0.0, min(left, _SLICE_SECONDS)), max_records)
                for partition in self._positions:
                    self._positions[partition] = await self._reader.position(kafka_partition(partition))
            else:
                await asyncio.sleep(max(0.0, left))
            if records or left <= 0:
                return records

    def position(self, partition: TopicPartition) -> int:
        return self._positions[partition]


class KafkaGroupReader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Reads on Kafka as a member of a group. aiokafka rebalances eagerly: every partition is revoked, also those that come back."""

    def __init__(self, reader: AIOKafkaConsumer, admin: KafkaAdmin, *, group: str, member_id: str) -> None:
        self._reader = reader
        self._admin = admin
        self._group = group
        self._member_id = member_id
        self._known_as = ""
        """The broker's id of this member, new with every joining process."""
        self._replaced = False
        self._in_callback = False
        """aiokafka's coordination waits in our callback."""
        self._owned: set[TopicPartition] = set()
        self._unplaced: set[TopicPartition] = set()
        """Owned, but without a position yet: not reported by a poll."""
        self._revoked: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}

    # Called by aiokafka, during a rebalance

    async def on_partitions_revoked(self, revoked: Collection[aiokafka.TopicPartition]) -> None:
        self._revoked |= self._owned - self._unplaced
        self._owned.clear()
        self._unplaced.clear()
        self._positions.clear()
        self._in_callback = True
        if await self._is_replaced():
            # aiokafka would join again now, and so throw out the process that replaced us, which would throw out us: it sends no
            # instance id with its heartbeats, so the broker cannot tell it that it is fenced (KIP-345). Wait here to be stopped.
            self._replaced = True
            await asyncio.get_running_loop().create_future()
        self._in_callback = False

    async def _is_replaced(self) -> bool:
        if not self._known_as or self._reader._coordinator.member_id:  # known to the broker: an ordinary rebalance
            return False
        try:
            members = await self._admin.members_of(self._group)
        except LogUnavailable:
            return False
        return any(one.startswith(f"{self._member_id}-") and one != self._known_as for one in members)

    async def leave(self) -> None:
        """Stop. A static member stays in the group until its session ends: its next process finds its partitions."""
        if self._in_callback:
            self._reader._coordinator._coordination_task.cancel()  # it would join when let go
        await stop(self._reader)

    def on_partitions_assigned(self, assigned: Collection[aiokafka.TopicPartition]) -> None:
        self._known_as = self._reader._coordinator.member_id
        self._reader.pause(*assigned)  # at once: nothing is fetched before its position is given and it is resumed
        self._owned = {port_partition(partition) for partition in assigned}
        self._unplaced = set(self._owned)

    # The port

    async def poll(self, *, timeout_seconds: float, max_records: int = 500) -> Polled:
        deadline = time.monotonic() + timeout_seconds
        while True:
            if self._unplaced or self._revoked:
                return await self._changes()
            if self._replaced:
                raise MemberReplaced(self._member_id)
            left = deadline - time.monotonic()
            records = await _read_slice(self._reader, max(0.0, min(left, _SLICE_SECONDS)), max_records)
            if self._unplaced or self._revoked:
                # A rebalance came between: what was read is read again from the committed position.
                return await self._changes()
            await self._refresh_positions()
            if records or left <= 0:
                return Polled(records=records)

    async def _changes(self) -> Polled:
        """Give new partitions their position: the group's commit, or the first record kept."""
        asked = frozenset(self._unplaced)
        placed: dict[TopicPartition, int] = {}
        if asked:
            committed = await self._admin.committed(self._group, asked)
            missing = [kafka_partition(partition) for partition in asked if partition not in committed]
            with port_errors():
                first = await self._reader.beginning_offsets(missing) if missing else {}
            placed = {port_partition(place): offset for place, offset in first.items()}
            placed |= {partition: offset for partition, (offset, _) in committed.items()}
        revoked, self._revoked = frozenset(self._revoked), set()
        assigned = asked & self._unplaced  # another rebalance may have come meanwhile
        for partition in assigned:
            self._reader.seek(kafka_partition(partition), placed[partition])
            self._positions[partition] = placed[partition]
        self._unplaced -= assigned
        return Polled(assigned=assigned, revoked=revoked)

    async def _refresh_positions(self) -> None:
        for partition in list(self._positions):
            with suppress(IllegalStateError):  # just revoked: the next poll tells
                self._positions[partition] = await self._reader.position(kafka_partition(partition))

    async def committed(self, partition: TopicPartition) -> Commit | None:
        found = (await self._admin.committed(self._group, [partition])).get(partition)
        return None if found is None else Commit(offset=found[0], metadata=found[1])

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        if not commits:
            return
        # The broker knows members and generations, not who owns what: a partition that went to another member is refused here.
        if any(partition not in self._positions for partition in commits):
            raise CommitRefused(self._group)
        with port_errors():
            await self._reader.commit(
                {
                    kafka_partition(partition): aiokafka.OffsetAndMetadata(commit.offset, commit.metadata)
                    for partition, commit in commits.items()
                }
            )

    def position(self, partition: TopicPartition) -> int:
        return self._positions[partition]

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition in self._positions:
            self._reader.seek(kafka_partition(partition), offset)
            self._positions[partition] = offset

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        self._reader.pause(*(kafka_partition(partition) for partition in partitions if partition in self._positions))

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        self._reader.resume(*(kafka_partition(partition) for partition in partitions if partition in self._positions))


def group_consumer(access: KafkaAccess, *, group: str, member_id: str, session_timeout: timedelta) -> AIOKafkaConsumer:
    """Static membership (KIP-345): a process that comes back within the session gets its partitions without a rebalance.

    Round robin, not aiokafka's sticky assignor: that one keeps its state in the class, shared by all groups of the process.
    """
    session_ms = session_timeout // timedelta(milliseconds=1)
    return consumer(
        access,
        group_id=group,
        group_instance_id=member_id,
        session_timeout_ms=session_ms,
        rebalance_timeout_ms=session_ms,
        heartbeat_interval_ms=min(_HEARTBEAT_MS, session_ms // 3),
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
    )
