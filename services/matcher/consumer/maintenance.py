"""The matcher's upkeep, once a second beside matching: looks at the logs' ends and identities, expires what is too old, sets gauges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import partial

import structlog

from services.matcher.consumer.commits import LogIdentities, OffsetPair
from services.matcher.consumer.log_reading import current_logs
from services.matcher.consumer.partitions import (
    GROUP,
    THE_CONTENT,
    MatcherDependencies,
    PartitionState,
    ProcessCache,
    SharedHistory,
    StartOver,
)
from services.matcher.register.register import Register
from shared.contracts.topics import CONTENT
from shared.log.port import TopicPartition, UnknownTopic
from shared.media.fingerprints import Algorithm
from shared.process.metrics import (
    HISTORY_BYTES,
    HISTORY_CANDIDATES,
    HISTORY_HEAD,
    HISTORY_INDEX_BYTES,
    HISTORY_MERGE_SECONDS,
    HISTORY_MERGES,
    HISTORY_QUERIES,
    HISTORY_SCANS,
    HISTORY_SIZE,
    INDEX_BYTES,
    INDEX_CANDIDATES,
    INDEX_HEAD,
    INDEX_MERGE_SECONDS,
    INDEX_MERGES,
    INDEX_QUERIES,
    INDEX_SCANS,
    LAG,
    REGISTER_AGE,
    REGISTER_SIZE,
)

log = structlog.get_logger(__name__)

MAINTENANCE_SECONDS = 1.0
LOGS_LOOKED_AT = timedelta(seconds=10)
EXPIRED = timedelta(minutes=1)
MEASURED = timedelta(seconds=5)
REVOKED_KEPT = timedelta(hours=12)
"""How long a revoked history, or the files of one that is not assigned here, is kept: less than an erasure may take, since it reads
none."""


Relearn = Callable[[PartitionState, OffsetPair], Awaitable[None]]
"""`PartitionAssignment.apply_erasures`."""


class Maintenance:
    """Does the upkeep of one session."""

    def __init__(
        self, dependencies: MatcherDependencies, cache: ProcessCache, register: Register, logs: LogIdentities
    ) -> None:
        self._dependencies = dependencies
        self._cache = cache
        self._register = register
        self._logs = logs
        self._counted = register.measures()
        self._logs_at = self._expired_at = self._measured_at = dependencies.clock()

    async def look_at_register(self) -> bool:
        """Record whether the register is at the log's end, as of when that was asked for."""
        asked_at = self._dependencies.clock()
        if self._register.too_old(asked_at):
            raise StartOver("the register is too old")
        end = await self._dependencies.log.end(THE_CONTENT)
        at_end = self._register.position >= end
        if at_end and self._dependencies.clock() - asked_at <= CONTENT.min_compaction_lag:
            self._register.at_end_at = max(asked_at, self._register.at_end_at)
        REGISTER_AGE.set((self._dependencies.clock() - self._register.at_end_at).total_seconds())
        return at_end

    async def look_at_logs(self) -> None:
        """Raises StartOver when a log was made anew under the same name: what was read of the old one says nothing of it."""
        now = self._dependencies.clock()
        if now - self._logs_at < LOGS_LOOKED_AT:
            return
        self._logs_at = now
        try:
            found = await current_logs(self._dependencies.log)
        except UnknownTopic as error:
            raise StartOver("a topic is gone") from error
        if found != self._logs:
            raise StartOver("a log was made anew")

    async def expire(self, owned: Mapping[TopicPartition, PartitionState]) -> None:
        """Forget what was last seen too long ago, and histories of partitions that did not come back."""
        now = self._dependencies.clock()
        if now - self._expired_at < EXPIRED:
            return
        self._expired_at = now
        for one in list(owned.values()):
            async with one.shared.lock:
                one.history.expire(now)
                one.history.upkeep(now)
            for error in one.history.take_failures():
                log.error("history.not_built", partition=one.partition.partition, error=type(error).__name__)
        await self._forget_revoked({partition.partition for partition in owned}, now)

    async def _forget_revoked(self, here: Collection[int], now: datetime) -> None:
        state = self._dependencies.state
        on_disk = frozenset() if state is None else await self._dependencies.disk(state.partitions)
        for partition in (on_disk | self._cache.histories.keys()) - set(here):
            if now - self._cache.revoked_at.setdefault(partition, now) > REVOKED_KEPT:
                self._cache.histories.pop(partition, None)
                del self._cache.revoked_at[partition]
                if state is not None:
                    await self._dependencies.disk(partial(state.discard_history, partition))

    async def look_at_histories(self, owned: Mapping[TopicPartition, PartitionState], relearn: Relearn) -> None:
        """Note of each history whether it is at its partition's end, and so has heard of every erasure; one that lags hears of them ahead.

        Raises StartOver when one has missed hearing of them for too long.
        """
        most = self._dependencies.history_max_age
        for partition, one in list(owned.items()):
            if not one.ready:
                continue
            asked_at = self._dependencies.clock()
            if asked_at - one.history.erasures_known_at < min(most / 4, MEASURED):
                continue
            if asked_at - one.history.erasures_known_at > most:
                raise StartOver("a history has not heard of erasures for too long")
            if one.handled_to >= await self._dependencies.log.end(partition):
                one.history.erasures_known_at = max(asked_at, one.history.erasures_known_at)
            elif asked_at - one.history.erasures_known_at > most / 2:
                await relearn(one, OffsetPair(sightings=one.handled_to, content=0))

    async def measure(self, owned: Mapping[TopicPartition, PartitionState]) -> None:
        now = self._dependencies.clock()
        if now - self._measured_at < MEASURED:
            return
        self._measured_at = now
        for algorithm, size in self._register.sizes().items():
            REGISTER_SIZE.labels(algorithm.value).set(size)
        self._measure_index()
        for partition, one in list(owned.items()):
            HISTORY_SIZE.labels(str(partition.partition)).set(len(one.history))
            HISTORY_BYTES.labels(str(partition.partition), "memory").set(one.history.memory_bytes)
            HISTORY_BYTES.labels(str(partition.partition), "disk").set(one.history.disk_bytes)
            self._measure_history(str(partition.partition), one.shared)
            if one.ready:
                end = await self._dependencies.log.end(partition)
                LAG.labels(GROUP, partition.topic, str(partition.partition)).set(max(0, end - one.handled_to))

    def _measure_history(self, partition: str, shared: SharedHistory) -> None:
        before, now = shared.measured, shared.history.measures()
        shared.measured = now
        HISTORY_HEAD.labels(partition).set(now.head_entries)
        HISTORY_INDEX_BYTES.labels(partition).set(now.nbytes)
        HISTORY_MERGES.labels(partition).inc(now.merges - before.merges)
        HISTORY_MERGE_SECONDS.labels(partition).inc(now.merge_seconds - before.merge_seconds)
        HISTORY_QUERIES.inc(now.counts.queries - before.counts.queries)
        HISTORY_CANDIDATES.inc(now.counts.candidates - before.counts.candidates)
        HISTORY_SCANS.inc(now.counts.scans - before.counts.scans)

    def _measure_index(self) -> None:
        """Add what the index counts since it was made to the process's counters."""
        before, self._counted = self._counted, self._register.measures()
        for algorithm, now in self._counted.items():
            INDEX_HEAD.labels(algorithm.value).set(now.head_entries)
            INDEX_BYTES.labels(algorithm.value).set(now.nbytes)
            INDEX_MERGES.labels(algorithm.value).inc(now.merges - before[algorithm].merges)
            INDEX_MERGE_SECONDS.labels(algorithm.value).inc(now.merge_seconds - before[algorithm].merge_seconds)
        old, new = before[Algorithm.PDQ].counts, self._counted[Algorithm.PDQ].counts
        INDEX_QUERIES.inc(new.queries - old.queries)
        INDEX_CANDIDATES.inc(new.candidates - old.candidates)
        INDEX_SCANS.inc(new.scans - old.scans)
