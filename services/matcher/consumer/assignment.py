"""Takes over a partition: the steps between its assignment and the first sighting read. Outside the rebalance, the partition paused.

The order is the rule; `run` is the place to read it. Each step is a method of its own, so that a test can leave it out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from services.matcher.consumer.commits import LogIdentities, OffsetPair, resume_from
from services.matcher.consumer.decoding import admit_record, decode_sightings
from services.matcher.consumer.log_reading import current_logs, read_stretch
from services.matcher.consumer.partitions import (
    THE_CONTENT,
    MatcherDependencies,
    PartitionState,
    ProcessCache,
    SharedHistory,
    StartOver,
)
from services.matcher.history.history import History
from services.matcher.register.register import Register
from services.matcher.register.view import ViewEntry
from shared.contracts.sightings import UrlErased
from shared.contracts.topics import CONTENT
from shared.errors import Poison
from shared.log.port import GroupReader, Record

log = structlog.get_logger(__name__)

_PROGRESS = 10_000
"""How many offsets lie between two lines of progress in the log."""

Scan = Callable[[Sequence[ViewEntry], Sequence[PartitionState]], Awaitable[None]]
"""Matches entries against the histories of these partitions; durable when it returns."""
IndexRegister = Callable[[], Awaitable[None]]

_CONCURRENT = 2
"""How many histories are restored at once: as many as the smallest machine has cores."""


class RegisterProgress:
    """Wakes tasks that wait for the register to take in more content."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.waiting = 0

    def advanced(self) -> None:
        """More content was taken in."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        self.waiting += 1
        try:
            await self._event.wait()
        finally:
            self.waiting -= 1


@dataclass(eq=False, kw_only=True)
class PartitionAssignment:
    """Takes over the partitions of one session."""

    dependencies: MatcherDependencies
    logs: LogIdentities
    group: GroupReader
    register: Register
    progress: RegisterProgress
    scan: Scan
    index_register: IndexRegister

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(_CONCURRENT)

    async def run(self, owned: PartitionState) -> None:
        """Make an assigned, paused partition ready. Raises LogUnavailable."""
        async with self._places:
            await self.load_state(owned)
            pair = await self.resume_point(owned)
            await self.restore_history(owned, pair)
            await self.apply_erasures(owned, pair)
        await self.read_register_to_end()
        await self.index_register()  # the first search would, too: ready means that it need not
        self.join_scanned_set(owned)
        await self.scan_history(owned, pair)
        await self.start_reading(owned, pair)
        log.info("partition.taken_over", partition=owned.partition.partition, remembered=len(owned.history))

    async def load_state(self, owned: PartitionState) -> None:
        """Load the history of a partition of which nothing is kept in memory: from its files, else an empty one."""
        state = self.dependencies.state
        if state is None or owned.history.folder is not None:
            return
        found = await self.dependencies.disk(partial(state.read_history, owned.partition.partition))
        if found is None:
            found = await self._empty_history(owned)
        else:
            log.info("history.recalled", partition=found.partition, position=found.position, remembered=len(found))
        owned.shared = SharedHistory(history=found, written_at=self.dependencies.clock())

    async def _empty_history(self, owned: PartitionState) -> History:
        state, partition, now = self.dependencies.state, owned.partition.partition, self.dependencies.clock()
        if state is None:
            return fresh_history(self.dependencies, self.logs, partition)
        return await self.dependencies.disk(partial(state.new_history, self.logs.sightings, partition, now))

    async def resume_point(self, owned: PartitionState) -> OffsetPair:
        """The offsets S (sightings) and C (content) to go on from, as committed. A kept history of another log, ahead of this one's end, or
        too old is not used. Raises StartOver when the logs are not those the session reads.

        Raises StartOver when the logs are not those the session reads.
        """
        event_log = self.dependencies.log
        if await current_logs(event_log) != self.logs:
            raise StartOver("a log was made anew")
        commit = await self.group.committed(owned.partition)
        end = await event_log.end(owned.partition)
        pair = resume_from(
            commit,
            self.logs,
            beginning=await event_log.beginning(owned.partition),
            end=end,
            content_end=await event_log.end(THE_CONTENT),
        )
        if not self.usable(owned.history, end):
            log.warning("history.not_used", partition=owned.partition.partition)
            owned.shared = SharedHistory(history=await self._empty_history(owned), written_at=self.dependencies.clock())
        return pair

    def usable(self, history: History, end: int) -> bool:
        """Whether a history is of this log, not ahead of its end, and has not missed an erasure that is no longer in the log."""
        too_old = self.dependencies.clock() - history.erasures_known_at > self.dependencies.history_max_age
        return history.log_id == self.logs.sightings and history.position <= end and not too_old

    async def restore_history(self, owned: PartitionState, pair: OffsetPair) -> None:
        """Bring the history to S: from what is kept of it, else from the first record. What is read here is not matched."""
        start = max(owned.history.position, await self.dependencies.log.beginning(owned.partition))
        owned.reading = (start, pair.sightings)

        async def remember(records: Sequence[Record], position: int) -> None:
            async with owned.shared.lock:
                for record in records:
                    try:
                        admit_record(owned.history, record.offset, decode_sightings(record))
                    except Poison:
                        continue  # it was referenced in the dead letters when it was first read
                before, owned.history.position = owned.history.position, position
                owned.reading = (position, pair.sightings)
            if before // _PROGRESS != position // _PROGRESS:
                log.info("history.restoring", partition=owned.partition.partition, at=position, upto=pair.sightings)
            await self.dependencies.sleep(0)  # let the event loop go on

        await read_stretch(self.dependencies.log, owned.partition, start=start, upto=pair.sightings, take=remember)
        async with owned.shared.lock:
            owned.history.expire(self.dependencies.clock())
        if start < pair.sightings:
            log.info("history.restored", partition=owned.partition.partition, records_from=start, upto=pair.sightings)

    async def apply_erasures(self, owned: PartitionState, pair: OffsetPair) -> None:
        """Apply the erasures up to the partition's end, before anything remembered can lead to a match.

        Raises StartOver when it took so long that one may have been cleared from the log before it was reached.
        """
        erasures_known_at = owned.history.erasures_known_at
        asked_at = self.dependencies.clock()
        end = await self.dependencies.log.end(owned.partition)

        async def erase(records: Sequence[Record], position: int) -> None:
            async with owned.shared.lock:
                for record in records:
                    try:
                        decoded = decode_sightings(record)
                        if isinstance(decoded, UrlErased):
                            admit_record(owned.history, record.offset, decoded)
                    except Poison:
                        continue  # reading reaches it later

        await read_stretch(self.dependencies.log, owned.partition, start=pair.sightings, upto=end, take=erase)
        if self.dependencies.clock() - erasures_known_at > self.dependencies.history_max_age:
            raise StartOver("a history has not heard of erasures for too long")
        owned.history.erasures_known_at = max(asked_at, erasures_known_at)

    async def read_register_to_end(self) -> None:
        """Wait until the register has reached the end of the log, by position.

        If that took longer than compaction waits, a record below the end may have been compacted away for one above it, so the
        register is not what the log said at that end: ask for the end again.
        """
        while True:
            asked_at, position = self.dependencies.clock(), self.register.position
            end = await self.dependencies.log.end(THE_CONTENT)
            if position > end:
                raise StartOver("the register is ahead of the log's end")
            while self.register.position < end:
                await self.progress.wait()
            if self.dependencies.clock() - asked_at <= CONTENT.min_compaction_lag:
                self.register.at_end_at = max(asked_at, self.register.at_end_at)
                return

    def join_scanned_set(self, owned: PartitionState) -> None:
        """Have content that enters the register from here on scanned against this partition."""
        owned.joined = True

    async def scan_history(self, owned: PartitionState, pair: OffsetPair) -> None:
        """Match the history with every entry at C or later, whether just applied or long ago."""
        upto = self.register.position
        if len(owned.history):  # at a first start it is empty, and the register may have millions of entries
            await self.scan(self.register.entries_from(pair.content), [owned])
        owned.scanned_to = upto

    async def start_reading(self, owned: PartitionState, pair: OffsetPair) -> None:
        """Read on at the committed S, also when the kept history is ahead: what is there is matched again."""
        if owned.lost:
            return
        owned.handled_to = pair.sightings
        await self.group.seek(owned.partition, pair.sightings)
        owned.ready = True
        self.group.resume([owned.partition])


def fresh_history(dependencies: MatcherDependencies, logs: LogIdentities, partition: int) -> History:
    return History(
        log_id=logs.sightings,
        position=0,
        kept=dependencies.policy.history_kept,
        erasures_known_at=dependencies.clock(),
        partition=partition,
        run=dependencies.background,
        head_entries=dependencies.head_entries,
    )


def shared_history(
    cache: ProcessCache, partition: int, dependencies: MatcherDependencies, logs: LogIdentities
) -> SharedHistory:
    """The history that is kept of the partition, else an empty one."""
    cache.revoked_at.pop(partition, None)
    if partition not in cache.histories:
        history = fresh_history(dependencies, logs, partition)
        cache.histories[partition] = SharedHistory(history=history, written_at=dependencies.clock())
    return cache.histories[partition]
