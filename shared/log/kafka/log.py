"""The log on Apache Kafka, for many machines. aiokafka is imported in `shared/log/kafka/` alone."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta

from aiokafka import AIOKafkaConsumer

from shared.contracts.topics import Topic
from shared.errors import BadSettings
from shared.log.kafka.access import KafkaAccess
from shared.log.kafka.client import REQUEST_TIMEOUT_MS, KafkaAdmin, TopicState, kafka_partition, port_errors
from shared.log.kafka.publisher import open_publisher
from shared.log.kafka.readers import KafkaGroupReader, KafkaReader, consumer, group_consumer, stop
from shared.log.port import GroupReader, Publisher, Reader, TopicPartition, UnknownTopic

SESSION_TIMEOUT = timedelta(seconds=10)
"""A member that is silent for so long loses its partitions."""


class KafkaLog:
    """`access`: how the brokers are reached; host:port[,host:port] alone is in the clear. Connects when first used; `close` it when
    done."""

    def __init__(self, access: KafkaAccess | str, *, session_timeout: timedelta = SESSION_TIMEOUT) -> None:
        self._access = KafkaAccess.of(access)
        self._session_timeout = session_timeout
        self._admin = KafkaAdmin(self._access)
        self._offsets: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()
        self._partitions: dict[str, int] = {}
        self._compacted: dict[str, bool] = {}

    @property
    def redacts(self) -> bool:
        return False

    @property
    def needs_heartbeat(self) -> bool:
        return True

    # Topics

    async def ensure_topics(self, topics: Collection[Topic]) -> None:
        present = await self._admin.describe([topic.name for topic in topics])
        missing = [topic for topic in topics if topic.name not in present]
        for topic in topics:
            if topic.name in present and present[topic.name].partitions != topic.partitions:
                raise BadSettings(
                    f"The topic {topic.name} has {present[topic.name].partitions} partitions and must have {topic.partitions}."
                    " The number is fixed once a topic exists: use an empty log, or the version that made this one."
                )
        if missing:
            await self._admin.create(missing)
            await self._wait_for(missing)
        await self._admin.bring_settings_up_to_date([topic for topic in topics if topic.name in present])

    async def _wait_for(self, topics: Collection[Topic]) -> None:
        """Wait until topics that were just created are known: not every broker knows them at once."""
        with port_errors():
            async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                while await self.missing_topics(topics):  # noqa: ASYNC110 - the broker tells nobody; it has to be asked
                    await asyncio.sleep(0.05)

    async def missing_topics(self, topics: Collection[Topic]) -> tuple[str, ...]:
        present = await self._admin.describe([topic.name for topic in topics])
        return tuple(topic.name for topic in topics if topic.name not in present)

    async def partitions_of(self, topic: str) -> int:
        return (await self._state(topic)).partitions

    async def log_id(self, topic: str) -> str:
        state = await self._state(topic)
        return f"{state.cluster_id}/{state.topic_id}"

    async def _state(self, topic: str) -> TopicState:
        state = (await self._admin.describe([topic])).get(topic)
        if state is None:
            self._partitions.pop(topic, None)
            raise UnknownTopic(topic)
        self._partitions[topic] = state.partitions
        return state

    async def _known_partitions(self, topic: str) -> int:
        """How many partitions a topic has. Fixed once created, so asked once."""
        if topic not in self._partitions:
            await self._state(topic)
        return self._partitions[topic]

    async def _takes_no_key(self, topic: str) -> bool:
        if topic not in self._compacted:
            settings = (await self._admin.settings_of([topic])).get(topic, {})
            self._compacted[topic] = "compact" in settings.get("cleanup.policy", "delete")
        return not self._compacted[topic]

    # Offsets

    async def beginning(self, partition: TopicPartition) -> int:
        reader = await self._asker(partition)
        with port_errors():
            found = await reader.beginning_offsets([kafka_partition(partition)])
        return int(found[kafka_partition(partition)])

    async def end(self, partition: TopicPartition) -> int:
        reader = await self._asker(partition)
        with port_errors():
            found = await reader.end_offsets([kafka_partition(partition)])
        return int(found[kafka_partition(partition)])

    async def offset_at(self, partition: TopicPartition, moment: datetime) -> int:
        reader = await self._asker(partition)
        place = kafka_partition(partition)
        with port_errors():
            found = (await reader.offsets_for_times({place: max(0, math.ceil(moment.timestamp() * 1000))})).get(place)
        return await self.end(partition) if found is None else int(found.offset)

    async def _asker(self, partition: TopicPartition) -> AIOKafkaConsumer:
        """A consumer that reads nothing: aiokafka asks for offsets through one."""
        if not 0 <= partition.partition < await self._known_partitions(partition.topic):
            raise UnknownTopic(f"{partition.topic}/{partition.partition}")
        async with self._lock:
            if self._offsets is None:
                self._offsets = await _started(consumer(self._access))
            return self._offsets

    # Publishing and reading

    def publisher(self, *, transactional_id: str | None = None) -> AbstractAsyncContextManager[Publisher]:
        return open_publisher(self._access, self._known_partitions, self._takes_no_key, transactional_id)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        reader = await _started(consumer(self._access))
        try:
            yield KafkaReader(reader, self._known_partitions)
        finally:
            await stop(reader)

    @asynccontextmanager
    async def group_reader(self, *, group: str, topics: Collection[str], member_id: str) -> AsyncIterator[GroupReader]:
        for topic in topics:
            await self._state(topic)  # aiokafka would wait for an unknown one
        reader = await _started(
            group_consumer(self._access, group=group, member_id=member_id, session_timeout=self._session_timeout)
        )
        member = KafkaGroupReader(reader, self._admin, group=group, member_id=member_id)
        try:
            reader.subscribe(list(topics), listener=member)
            yield member
        finally:
            await member.leave()

    # Maintenance

    async def redact(
        self, topic: str, *, containing: Collection[bytes], rewrite: Callable[[bytes], bytes | None]
    ) -> int:
        return 0

    async def run_maintenance(self) -> None:
        return

    async def close(self) -> None:
        async with self._lock:
            reader, self._offsets = self._offsets, None
            if reader is not None:
                await stop(reader)
        await self._admin.close()


async def _started(reader: AIOKafkaConsumer) -> AIOKafkaConsumer:
    try:
        with port_errors():
            await reader.start()
    except BaseException:
        await stop(reader)
        raise
    return reader
