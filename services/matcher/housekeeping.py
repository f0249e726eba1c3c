"""What is done beside matching, once a second: looking at the logs' ends and identities, expiry, gauges."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import structlog

from services.matcher.commits import Logs
from services.matcher.owned import GROUP, THE_CONTENT, Memory, Owned, StartOver, Surroundings
from services.matcher.reading import current_logs
from services.matcher.register import Register
from shared.contracts.topics import CONTENT
from shared.log.port import TopicPartition, UnknownTopic
from shared.metrics import HISTORY_SIZE, LAG, REGISTER_AGE, REGISTER_SIZE

log = structlog.get_logger(__name__)

HOUSEKEEPING_SECONDS = 1.0
LOGS_LOOKED_AT = timedelta(seconds=10)
EXPIRED = timedelta(minutes=1)
MEASURED = timedelta(seconds=5)
REVOKED_KEPT = timedelta(hours=24)
"""A revoked history is not told of erasures: it is kept only so long as an erasure may take."""


class Housekeeping:
    def __init__(self, surroundings: Surroundings, memory: Memory, register: Register, logs: Logs) -> None:
        self._surroundings = surroundings
        self._memory = memory
        self._register = register
        self._logs = logs
        self._logs_at = self._expired_at = self._measured_at = surroundings.clock()

    async def look_at_register(self) -> bool:
        """Note that the register is at the log's end, as of when the end was asked for; whether it is."""
        asked_at = self._surroundings.clock()
        if self._register.too_old(asked_at):
            raise StartOver("the register is too old")
        end = await self._surroundings.log.end(THE_CONTENT)
        at_end = self._register.position >= end
        if at_end and self._surroundings.clock() - asked_at <= CONTENT.min_compaction_lag:
            self._register.at_end_at = max(asked_at, self._register.at_end_at)
        REGISTER_AGE.set((self._surroundings.clock() - self._register.at_end_at).total_seconds())
        return at_end

    async def look_at_logs(self) -> None:
        """Raises StartOver when a log was made anew under the same name: what was read of the old one says nothing of it."""
        now = self._surroundings.clock()
        if now - self._logs_at < LOGS_LOOKED_AT:
            return
        self._logs_at = now
        try:
            found = await current_logs(self._surroundings.log)
        except UnknownTopic as error:
            raise StartOver("a topic is gone") from error
        if found != self._logs:
            raise StartOver("a log was made anew")

    async def expire(self, owned: Mapping[TopicPartition, Owned]) -> None:
        """Forget what was last seen too long ago, and histories of partitions that did not come back."""
        now = self._surroundings.clock()
        if now - self._expired_at < EXPIRED:
            return
        self._expired_at = now
        for one in list(owned.values()):
            async with one.shared.lock:
                one.history.expire(now)
        here = {partition.partition for partition in owned}
        for partition in [number for number in self._memory.histories if number not in here]:
            if now - self._memory.revoked_at.setdefault(partition, now) > REVOKED_KEPT:
                del self._memory.histories[partition], self._memory.revoked_at[partition]

    async def measure(self, owned: Mapping[TopicPartition, Owned]) -> None:
        now = self._surroundings.clock()
        if now - self._measured_at < MEASURED:
            return
        self._measured_at = now
        for algorithm, size in self._register.sizes().items():
            REGISTER_SIZE.labels(algorithm.value).set(size)
        for partition, one in list(owned.items()):
            HISTORY_SIZE.labels(str(partition.partition)).set(len(one.history))
            if one.ready:
                end = await self._surroundings.log.end(partition)
                LAG.labels(GROUP, partition.topic, str(partition.partition)).set(max(0, end - one.handled_to))
