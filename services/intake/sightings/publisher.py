"""The service's own publisher on the log, for what bypasses the outbox: sightings and erasures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from shared.errors import Transient
from shared.log.partitioner import partition_of
from shared.log.port import EventLog, LogUnavailable, OutgoingRecord, Publisher, PublisherFenced

log = structlog.get_logger()

_RETRY_SECONDS = 0.5


class LogWriter:
    """Publishes to the log directly, without the outbox. `run` it as a task; `publish` from anywhere. While the log is out of reach
    `publish` raises LogUnavailable at once."""

    def __init__(self, log_: EventLog) -> None:
        self._log = log_
        self._publisher: Publisher | None = None
        self._broken = asyncio.Event()
        self._partitions: dict[str, int] = {}

    @property
    def ready(self) -> bool:
        return self._publisher is not None

    async def run(self) -> None:
        """Keep a publisher open until cancelled; a broken one is opened anew."""
        while True:
            try:
                async with self._log.publisher() as publisher:
                    self._broken.clear()
                    self._publisher = publisher
                    await self._broken.wait()
            except (Transient, PublisherFenced) as error:
                log.warning("log_writer.interrupted", error=type(error).__name__)
            finally:
                self._publisher = None
            await asyncio.sleep(_RETRY_SECONDS)

    async def publish(self, records: Sequence[OutgoingRecord]) -> None:
        """Returns when the log has acknowledged all. Raises LogUnavailable (any subset may stand), UnknownTopic, RecordTooLarge."""
        publisher = self._publisher
        if publisher is None:
            raise LogUnavailable("not connected")
        try:
            await publisher.publish(records)
        except PublisherFenced:
            self._broken.set()
            raise LogUnavailable("the publisher is opened anew") from None

    async def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has. Fixed once created, so asked once."""
        if topic not in self._partitions:
            self._partitions[topic] = await self._log.partitions_of(topic)
        return self._partitions[topic]

    async def partition_of(self, topic: str, key: bytes) -> int:
        """Where a key's records go."""
        return partition_of(key, await self.partitions_of(topic))
