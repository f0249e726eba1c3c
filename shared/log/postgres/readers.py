"""Reading on PostgreSQL, alone and as a member of a group. One query brings the next records of all partitions wanted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, timedelta

import structlog

from shared.db.pool import Row
from shared.db.wakeups import Subscription, Wakeups
from shared.errors import TakedownError
from shared.log.port import (
    Commit,
    CommitRefused,
    LogUnavailable,
    OffsetOutOfRange,
    Polled,
    Record,
    TopicPartition,
    UnknownTopic,
)
from shared.log.postgres.publisher import decode_headers
from shared.log.postgres.session import Catalogue, MemberSession

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
"""How long a lost wake-up may go unnoticed."""

LEASE = timedelta(seconds=10)
"""How long after the owner was last alive a member of another id takes over."""

_RENEWALS_PER_LEASE = 4
_ACQUIRE_SECONDS = 0.5


class PartitionCursor:
    """Positions in partitions, and the query that moves them on."""

    def __init__(self, session: MemberSession, catalogue: Catalogue, schema: str) -> None:
        self._session = session
        self._catalogue = catalogue
        self._query = f"SELECT * FROM {schema}.read_next(%b::int[], %b::bigint[], %b::int)"
        self.positions: dict[TopicPartition, int] = {}
        self._ids: dict[TopicPartition, int] = {}
        self._reached: dict[TopicPartition, tuple[int, int]] = {}
        """Of the last fetch: the position asked from, and the one after what was brought."""
        self.more = True
        """Whether there may be something to fetch though nobody is woken: before the first fetch, and after one that left records."""

    async def place(self, partition: TopicPartition, position: int) -> None:
        self._ids[partition] = await self._catalogue.partition_id(partition, fresh=partition not in self._ids)
        self.positions[partition] = position

    def forget(self, partition: TopicPartition) -> None:
        self.positions.pop(partition, None)

    async def fetch(
        self, partitions: Collection[TopicPartition], max_records: int
    ) -> dict[TopicPartition, list[Record]]:
        """The next records; positions are *not* moved: `take` does that. Holes at the end come as an empty list."""
        asked = {self._ids[partition]: (partition, self.positions[partition]) for partition in partitions}
        if not asked:
            self.more = False
            return {}
        rows = await self._session.fetch(
            self._query, (list(asked), [position for _, position in asked.values()], max_records)
        )
        found: dict[TopicPartition, list[Record]] = {}
        self._reached.clear()
        ends: dict[TopicPartition, int] = {}
        for row in rows:
            partition, position = asked[row["out_partition"]]
            if row["out_next"] is None:
                raise UnknownTopic(partition.topic)
            if not row["out_start"] <= position <= row["out_next"]:
                raise OffsetOutOfRange(f"{partition.topic}/{partition.partition} {position}", partition=partition)
            ends[partition] = row["out_next"]
            records = found.setdefault(partition, [])
            if row["record_offset"] is not None:
                records.append(_record(partition, row))
            full = len(records) >= row["out_share"]
            self._reached[partition] = (position, records[-1].offset + 1 if full else row["out_next"])
        self.more = any(self._reached[partition][1] < ends[partition] for partition in found)
        return found

    def take(self, partition: TopicPartition) -> bool:
        """Move on past what `fetch` brought; False when the position was changed meanwhile: the records are not wanted."""
        asked, reached = self._reached[partition]
        if self.positions.get(partition) != asked:
            return False
        self.positions[partition] = reached
        return True


def _to_fetch(cursor: PartitionCursor, subscription: Subscription | None, timeout_seconds: float) -> bool:
    """Whether to ask for records now. Not when the last fetch reached the ends and nobody was woken since: half of all queries would
    bring nothing. Whoever cannot wait is answered from the tables."""
    if subscription is not None and subscription.take():
        cursor.more = True
    return cursor.more or timeout_seconds <= 0


def _record(partition: TopicPartition, row: Row) -> Record:
    return Record(
        topic=partition.topic,
        partition=partition.partition,
        offset=row["record_offset"],
        append_time=row["append_time"].astimezone(UTC),
        key=row["key"],
        value=row["value"],
        headers=decode_headers(row["headers"]),
    )


class PostgresReader:
    """Reads chosen partitions on PostgreSQL, without a group."""

    def __init__(self, session: MemberSession, catalogue: Catalogue, schema: str, wakeups: Wakeups) -> None:
        self._cursor = PartitionCursor(session, catalogue, schema)
        self._wakeups = wakeups
        self._subscription: Subscription | None = None

    async def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        self.close()
        self._subscription = self._wakeups.subscribe(*{partition.topic for partition in positions})
        self._cursor.positions.clear()
        for partition, position in positions.items():
            await self._cursor.place(partition, position)
        self._cursor.more = True

    async def read(self, *, timeout_seconds: float, max_records: int = 1000) -> tuple[Record, ...]:
        deadline = time.monotonic() + timeout_seconds
        while True:
            if _to_fetch(self._cursor, self._subscription, timeout_seconds):
                found = await self._cursor.fetch(self._cursor.positions, max_records)
                taken = [records for partition, records in found.items() if self._cursor.take(partition)]
                if any(taken):
                    return tuple(record for records in taken for record in records)
            left = deadline - time.monotonic()
            if left <= 0:
                return ()
            if self._subscription is None:
                await asyncio.sleep(left)
            else:
                await self._subscription.wait(min(left, POLL_SECONDS))
                self._cursor.more = True

    def position(self, partition: TopicPartition) -> int:
        return self._cursor.positions[partition]

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None


class PostgresGroupReader:
    """Reads on PostgreSQL as a member of a group. Leases are renewed beside the polls, so that a slow handler keeps its partitions."""

    def __init__(
        self,
        session: MemberSession,
        catalogue: Catalogue,
        schema: str,
        wakeups: Wakeups,
        *,
        group: str,
        topics: Collection[str],
        member_id: str,
        lease: timedelta,
    ) -> None:
        self._session = session
        self._catalogue = catalogue
        self._schema = schema
        self._group = group
        self._topics = sorted(set(topics))
        self._member_id = member_id
        self._lease = lease
        self._cursor = PartitionCursor(session, catalogue, schema)
        self._subscription = wakeups.subscribe(*self._topics)
        self._wanted: dict[int, TopicPartition] = {}
        self._epochs: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._assigned: set[TopicPartition] = set()
        """Taken, and not reported by a poll yet. Taken again after it was lost, whoever asks still means what was lost."""
        self._revoked: set[TopicPartition] = set()
        self._failure: BaseException | None = None

    # Membership

    async def join(self) -> None:
        """Lease the partitions that are free, and those that an earlier process of this member had. Raises UnknownTopic, LogUnavailable."""
        for name in self._topics:
            topic = await self._catalogue.topic(name, fresh=True)
            for number, partition_id in enumerate(topic.partition_ids):
                self._wanted[partition_id] = TopicPartition(topic=name, partition=number)
        await self._acquire(takeover=True)

    async def keep(self) -> None:
        """Renew the leases, and lease what becomes free, until cancelled."""
        renewal = self._lease.total_seconds() / _RENEWALS_PER_LEASE
        due = time.monotonic() + renewal
        while True:
            complete = len(self._epochs) == len(self._wanted)
            await asyncio.sleep(renewal if complete else min(renewal, _ACQUIRE_SECONDS))
            try:
                if time.monotonic() >= due or complete:
                    due = time.monotonic() + renewal
                    await self._renew()
                if len(self._epochs) < len(self._wanted):
                    await self._acquire(takeover=False)
            except LogUnavailable:
                continue  # the epoch says who owns what once it is back; reads raise it

    def keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        """Without its keeper a member would lose its leases silently: the next poll raises what ended it."""
        if not keeper.cancelled():
            self._failure = keeper.exception()
            self._subscription.wake()

    async def leave(self) -> None:
        """Give up the leases, so that another member need not wait."""
        self._subscription.close()
        if self._epochs:
            with suppress(TakedownError):
                await self._renew(timedelta(0))

    async def _acquire(self, *, takeover: bool) -> None:
        ids = [number for number, partition in self._wanted.items() if partition not in self._epochs]
        rows = await self._session.fetch(
            f"SELECT * FROM {self._schema}.acquire(%b, %b, %b::int[], %b, %b)",
            (self._group, self._member_id, ids, self._lease, takeover),
        )
        for row in rows:
            partition = self._wanted[row["out_partition"]]
            committed = row["out_committed"]
            await self._cursor.place(partition, row["out_start"] if committed is None else committed)
            self._epochs[partition] = row["out_epoch"]
            self._paused.add(partition)
            self._assigned.add(partition)
        if rows:
            self._subscription.wake()

    async def _renew(self, lease: timedelta | None = None) -> None:
        leased = dict(self._epochs)
        ids = {partition: number for number, partition in self._wanted.items()}
        if not leased:
            return
        rows = await self._session.fetch(
            f"SELECT * FROM {self._schema}.renew(%b, %b::int[], %b::bigint[], %b) AS id",
            (self._group, [ids[p] for p in leased], list(leased.values()), self._lease if lease is None else lease),
        )
        kept = {self._wanted[row["id"]] for row in rows}
        self._lose([p for p, epoch in leased.items() if p not in kept and self._epochs.get(p) == epoch])

    def _lose(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            del self._epochs[partition]
            self._cursor.forget(partition)
            self._paused.discard(partition)
            if partition in self._assigned:
                self._assigned.discard(partition)  # never reported, so nothing to take back
            else:
                self._revoked.add(partition)
        if partitions:
            log.warning("group.partitions_lost", group=self._group, partitions=len(partitions))
            self._subscription.wake()

    # Reading

    async def poll(self, *, timeout_seconds: float, max_records: int = 500) -> Polled:
        deadline = time.monotonic() + timeout_seconds
        while True:
            if self._failure is not None:
                raise self._failure
            if self._assigned or self._revoked:
                assigned, revoked = frozenset(self._assigned), frozenset(self._revoked)
                self._assigned.clear()
                self._revoked.clear()
                return Polled(assigned=assigned, revoked=revoked)
            if _to_fetch(self._cursor, self._subscription, timeout_seconds):
                records = await self._read(max_records)
                if records:
                    return Polled(records=records)
            left = deadline - time.monotonic()
            if left <= 0:
                return Polled()
            await self._subscription.wait(min(left, POLL_SECONDS))
            self._cursor.more = True

    async def _read(self, max_records: int) -> tuple[Record, ...]:
        wanted = [p for p in self._cursor.positions if p not in self._paused and p not in self._assigned]
        found = await self._cursor.fetch(wanted, max_records)
        # A lane may have been paused, sought or lost while the query was under way.
        return tuple(
            record
            for partition, records in found.items()
            if partition not in self._paused and self._cursor.take(partition)
            for record in records
        )

    def _is_reported(self, partition: TopicPartition) -> bool:
        return partition in self._epochs and partition not in self._assigned

    def position(self, partition: TopicPartition) -> int:
        if partition in self._assigned:
            raise KeyError(partition)
        return self._cursor.positions[partition]

    async def seek(self, partition: TopicPartition, offset: int) -> None:
        if self._is_reported(partition):
            await self._cursor.place(partition, offset)
            self._subscription.wake()

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        self._paused.update(one for one in partitions if self._is_reported(one))

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        resumed = {one for one in partitions if one in self._paused and self._is_reported(one)}
        if resumed:  # a wake-up is a query: not for nothing
            self._paused -= resumed
            self._subscription.wake()

    # Commits

    async def committed(self, partition: TopicPartition) -> Commit | None:
        rows = await self._session.fetch(
            f"SELECT committed_offset, metadata FROM {self._schema}.ownership"
            " WHERE group_name = %b AND partition_id = %b::int AND committed_offset IS NOT NULL",
            (self._group, await self._catalogue.partition_id(partition)),
        )
        return Commit(offset=rows[0]["committed_offset"], metadata=rows[0]["metadata"]) if rows else None

    async def commit(self, commits: Mapping[TopicPartition, Commit]) -> None:
        if not commits:
            return
        if not all(map(self._is_reported, commits)):
            raise CommitRefused(self._group)
        ids = {partition: number for number, partition in self._wanted.items()}
        try:
            await self._session.fetch(
                f"SELECT {self._schema}.commit_positions(%b, %b::int[], %b::bigint[], %b::bigint[], %b::text[])",
                (
                    self._group,
                    [ids[partition] for partition in commits],
                    [self._epochs[partition] for partition in commits],
                    [commit.offset for commit in commits.values()],
                    [commit.metadata for commit in commits.values()],
                ),
            )
        except CommitRefused:
            await self._renew()  # finds out which are lost
            raise
