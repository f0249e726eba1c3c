"""What the contract suite needs beside the port: topics of its own, and a way to make a log clean up now."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from aiokafka.admin import AIOKafkaAdminClient

from shared.contracts.topics import Topic
from shared.db.migrations import migrate
from shared.db.pool import Database
from shared.db.wakeups import Wakeups
from shared.log.kafka.log import KafkaLog
from shared.log.port import EventLog, GroupReader, OutgoingRecord, Polled, Reader, Record, TopicPartition
from shared.log.postgres.log import SCHEMA, PostgresLog

LONG = timedelta(days=30)


def a_topic(partitions: int = 1, *, retention: timedelta | None = LONG, **times: timedelta) -> Topic:
    """A topic of this test alone. Without `retention` it is compacted."""
    return Topic(
        name=f"test.{secrets.token_hex(6)}",
        partitions=partitions,
        retention=retention,
        written_by=frozenset(),
        read_by=frozenset(),
        **times,
    )


def a_group() -> str:
    return f"group-{secrets.token_hex(6)}"


def place(topic: Topic, partition: int = 0) -> TopicPartition:
    return TopicPartition(topic=topic.name, partition=partition)


def record(
    topic: Topic, value: bytes | None, *, key: bytes | None = b"key", partition: int | None = 0
) -> OutgoingRecord:
    return OutgoingRecord(topic=topic.name, key=key, value=value, partition=partition)


class Harness(Protocol):
    """One log, and what only its makers may do with it."""

    @property
    def name(self) -> str: ...

    @property
    def log(self) -> EventLog: ...

    def another(self) -> EventLog:
        """The same log through connections of its own, as another process has it."""
        ...

    async def delete(self, topic: Topic) -> None: ...

    async def clean(self, topic: Topic) -> None:
        """Let the log apply retention and compaction soon."""
        ...

    async def let_leases_run_out(self, group: str) -> None:
        """As if its owners had stalled, where a partition has an owner until then. On Kafka the members share what there is."""
        ...


@dataclass
class PostgresHarness:
    database: Database
    wakeups: Wakeups
    log: PostgresLog
    name: str = "postgres"

    def another(self) -> PostgresLog:
        return PostgresLog(self.database, self.wakeups, lease=timedelta(seconds=1))

    async def delete(self, topic: Topic) -> None:
        async with self.database.transaction() as tx:
            await tx.execute("DELETE FROM eventlog.topic WHERE name = %s", (topic.name,))

    async def clean(self, topic: Topic) -> None:
        await self.log.maintain(await self.database.now())

    async def let_leases_run_out(self, group: str) -> None:
        async with self.database.transaction() as tx:
            await tx.execute("UPDATE eventlog.ownership SET lease_until = '-infinity' WHERE group_name = %s", (group,))


@dataclass
class KafkaHarness:
    bootstrap_servers: str
    log: KafkaLog
    name: str = "kafka"
    others: list[KafkaLog] = field(default_factory=list)

    def another(self) -> KafkaLog:
        self.others.append(KafkaLog(self.bootstrap_servers, session_timeout=timedelta(seconds=3)))
        return self.others[-1]

    async def delete(self, topic: Topic) -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await client.start()
        try:
            await client.delete_topics([topic.name])
        finally:
            await client.close()

    async def clean(self, topic: Topic) -> None:
        # The segment under way is neither compacted nor dropped: a further record starts another one.
        async with self.log.publisher() as publisher:
            await publisher.publish(
                [record(topic, b"filler", key=b"filler", partition=number) for number in range(topic.partitions)]
            )

    async def let_leases_run_out(self, group: str) -> None:
        pass


@asynccontextmanager
async def postgres_harness(conninfo: str) -> AsyncIterator[PostgresHarness]:
    async with Database(conninfo) as database:
        await migrate(database, [SCHEMA])
        wakeups = Wakeups(database)
        listening = asyncio.create_task(wakeups.run())
        log_ = PostgresLog(database, wakeups, lease=timedelta(seconds=1))
        try:
            yield PostgresHarness(database, wakeups, log_)
        finally:
            await log_.close()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


@asynccontextmanager
async def kafka_harness(bootstrap_servers: str) -> AsyncIterator[KafkaHarness]:
    harness = KafkaHarness(bootstrap_servers, KafkaLog(bootstrap_servers, session_timeout=timedelta(seconds=3)))
    try:
        yield harness
    finally:
        for log_ in (harness.log, *harness.others):
            await log_.close()


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float = 30.0) -> None:
    """Wait for a condition; fails when it does not come about in time."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(0.05)


async def publish(log_: EventLog, *records: OutgoingRecord) -> list[int]:
    """Publish in one call; the offsets."""
    async with log_.publisher() as publisher:
        return [stood.offset for stood in await publisher.publish(records)]


async def read_to(reader: Reader, partition: TopicPartition, end: int, *, seconds: float = 20.0) -> list[Record]:
    """Read on until the position has reached `end`."""
    found: list[Record] = []
    deadline = time.monotonic() + seconds
    while reader.position(partition) < end:
        assert time.monotonic() < deadline, f"position {reader.position(partition)} of {end}"
        found.extend(await reader.read(timeout_seconds=0.2))
    return found


async def read_all(log_: EventLog, topic: Topic, partition: int = 0, *, start: int | None = None) -> list[Record]:
    """Everything kept in a partition, up to its end as of now."""
    where = place(topic, partition)
    begin = await log_.beginning(where) if start is None else start
    end = await log_.end(where)
    async with log_.reader() as reader:
        await reader.assign({where: begin})
        return await read_to(reader, where, end)


async def owns(member: GroupReader, count: int, *, resume: bool = True, seconds: float = 30.0) -> set[TopicPartition]:
    """Poll until the member owns `count` partitions; they are resumed."""
    owned: set[TopicPartition] = set()
    deadline = time.monotonic() + seconds
    while len(owned) != count:
        assert time.monotonic() < deadline, f"owns {len(owned)}, not {count}"
        polled = await member.poll(timeout_seconds=0.2)
        owned = (owned - polled.revoked) | polled.assigned
        assert not polled.records
        if resume:
            member.resume(polled.assigned)
    return owned


async def polled_records(member: GroupReader, count: int, *, seconds: float = 20.0) -> list[Record]:
    """Poll until `count` records have come."""
    found: list[Record] = []
    deadline = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} records"
        polled = await member.poll(timeout_seconds=0.2)
        found.extend(polled.records)
        assert not polled.revoked
    return found


async def poll_until(member: GroupReader, wanted: Callable[[Polled], bool], *, seconds: float = 30.0) -> Polled:
    deadline = time.monotonic() + seconds
    while True:
        polled = await member.poll(timeout_seconds=0.2)
        if wanted(polled):
            return polled
        assert time.monotonic() < deadline, f"not within {seconds} s"
