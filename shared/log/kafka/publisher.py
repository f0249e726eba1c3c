"""Publishing on Kafka: idempotent, acks=all; with a transactional id each `publish` is one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import structlog
from aiokafka import AIOKafkaProducer

from shared.log.kafka.access import KafkaAccess
from shared.log.kafka.client import REQUEST_TIMEOUT_MS, port_errors
from shared.log.partitioner import partition_of
from shared.log.port import (
    MAX_RECORD_BYTES,
    LogUnavailable,
    OutgoingRecord,
    PublisherFenced,
    RecordRefused,
    RecordTooLarge,
    TopicPartitionOffset,
    UnknownTopic,
)

log = structlog.get_logger(__name__)

_LINGER_MS = 2
_BATCH_BYTES = 256 * 1024
_MAX_REQUEST_BYTES = 1024 * 1024
_TRANSACTION_TIMEOUT_MS = 10_000
"""A transaction whose publisher died is aborted after this, or when its id is used again; readers wait for it that long."""
_DEADLINE_SECONDS = REQUEST_TIMEOUT_MS / 1000
_STOP_SECONDS = 5.0

PartitionsOf = Callable[[str], Awaitable[int]]
TakesNoKey = Callable[[str], Awaitable[bool]]


class KafkaPublisher:
    """One producer; a broken one is made anew, but not one with a transactional id: that could fence its successor."""

    def __init__(
        self,
        access: KafkaAccess,
        partitions_of: PartitionsOf,
        takes_no_key: TakesNoKey,
        transactional_id: str | None,
    ) -> None:
        self._access = access
        self._partitions_of = partitions_of
        self._takes_no_key = takes_no_key
        self._transactional_id = transactional_id
        self._producer: AIOKafkaProducer | None = None
        self._lock = asyncio.Lock()
        self._fenced = False

    async def start(self) -> None:
        """Raises LogUnavailable."""
        producer = AIOKafkaProducer(
            **self._access.client_settings,
            enable_idempotence=True,
            acks="all",
            linger_ms=_LINGER_MS,
            max_batch_size=_BATCH_BYTES,
            max_request_size=_MAX_REQUEST_BYTES,
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            transactional_id=self._transactional_id,
            transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS,
        )
        try:
            with port_errors():
                async with asyncio.timeout(_DEADLINE_SECONDS):
                    await producer.start()
        except BaseException:
            await _stop(producer)
            raise
        self._producer = producer

    async def publish(self, records: Sequence[OutgoingRecord]) -> tuple[TopicPartitionOffset, ...]:
        if not records:
            return ()
        largest = max(record.size_bytes for record in records)
        if largest > MAX_RECORD_BYTES:
            raise RecordTooLarge(f"{largest} bytes")
        partitions = [await self._partition(record) for record in records]
        if self._transactional_id is not None:
            async with self._lock:
                return await self._publish_in_transaction(records, partitions)
        producer = await self._usable()
        try:
            with port_errors():
                async with asyncio.timeout(_DEADLINE_SECONDS):
                    return await _send(producer, records, partitions)
        except (LogUnavailable, PublisherFenced) as error:
            await self._discard(producer)
            raise LogUnavailable(type(error).__name__) from error

    async def _partition(self, record: OutgoingRecord) -> int:
        count = await self._partitions_of(record.topic)
        if record.key is None and not await self._takes_no_key(record.topic):
            raise RecordRefused(record.topic)
        partition = partition_of(record.key, count) if record.partition is None else record.partition
        if not 0 <= partition < count:
            raise UnknownTopic(f"{record.topic}/{partition}")
        return partition

    async def _publish_in_transaction(
        self, records: Sequence[OutgoingRecord], partitions: Sequence[int]
    ) -> tuple[TopicPartitionOffset, ...]:
        producer = self._producer
        if self._fenced:
            raise PublisherFenced
        if producer is None:
            raise LogUnavailable("the transactional publisher is broken; open another")
        try:
            with port_errors():
                async with asyncio.timeout(_DEADLINE_SECONDS):
                    async with producer.transaction():
                        return await _send(producer, records, partitions)
        except PublisherFenced:
            self._fenced = True
            raise
        except RecordTooLarge:
            raise  # the transaction was aborted
        except BaseException:
            # Whether the transaction stands is unknown. This id may belong to a newer publisher by now: do not take it back.
            await self._discard(producer)
            raise

    async def _usable(self) -> AIOKafkaProducer:
        async with self._lock:
            if self._producer is None:
                await self.start()
            return self._producer

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
            await _stop(producer)

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await _stop(producer)


async def _send(
    producer: AIOKafkaProducer, records: Sequence[OutgoingRecord], partitions: Sequence[int]
) -> tuple[TopicPartitionOffset, ...]:
    under_way = [
        await producer.send(
            record.topic, record.value, key=record.key, partition=partition, headers=list(record.headers)
        )
        for record, partition in zip(records, partitions, strict=True)
    ]
    stood = await asyncio.gather(*under_way, return_exceptions=True)
    places = []
    for one in stood:
        if isinstance(one, BaseException):
            raise one
        places.append(TopicPartitionOffset(topic=one.topic, partition=one.partition, offset=one.offset))
    return tuple(places)


async def _stop(producer: AIOKafkaProducer) -> None:
    """Close it, also when the broker does not answer: then what was not delivered is given up."""
    stopping = asyncio.create_task(producer.stop())
    await asyncio.wait({stopping}, timeout=_STOP_SECONDS)
    if not stopping.done() or stopping.cancelled() or stopping.exception() is not None:
        stopping.cancel()
        await asyncio.gather(stopping, producer.client.close(), return_exceptions=True)


@asynccontextmanager
async def open_publisher(
    access: KafkaAccess, partitions_of: PartitionsOf, takes_no_key: TakesNoKey, transactional_id: str | None
) -> AsyncIterator[KafkaPublisher]:
    publisher = KafkaPublisher(access, partitions_of, takes_no_key, transactional_id)
    await publisher.start()
    try:
        yield publisher
    finally:
        await publisher.stop()
