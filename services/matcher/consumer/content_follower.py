"""Follows the content topic: content enters the register, then is scanned against the history of every joined partition. Add before you
look."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from services.matcher.consumer.assignment import RegisterProgress
from services.matcher.consumer.batch_parts import Turn
from services.matcher.consumer.commits import LogIdentities
from services.matcher.consumer.dead_letters import DeadLetterWriter
from services.matcher.consumer.decoding import apply_content
from services.matcher.consumer.partitions import (
    THE_CONTENT,
    MatcherDependencies,
    PartitionState,
    ProcessCache,
    StartOver,
    busy,
    finish_though_cancelled,
)
from services.matcher.consumer.publisher import Found, MatchPublisher
from services.matcher.consumer.snapshots import Snapshots
from services.matcher.join.derived_orientations import DerivedOf
from services.matcher.join.matching import match_against_history
from services.matcher.register.register import FEW, Register
from services.matcher.register.view import RegisterView, ViewEntry
from shared.errors import Poison
from shared.log.port import OffsetOutOfRange, Reader, Record, TopicPartition, UnknownTopic

log = structlog.get_logger(__name__)

CHUNK = 2000
"""Fingerprints looked up in a history at once: bounds how long it is not to be changed."""
_POLL_SECONDS = 0.5
_HURRY_SECONDS = 0.05
"""How long content is waited for while a partition waits for the register (its end may be a hole)."""


class ContentFollower:
    """Reads the content partition whole, outside the group. `register_lock`: held whenever the register changes."""

    def __init__(
        self,
        dependencies: MatcherDependencies,
        cache: ProcessCache,
        register: Register,
        logs: LogIdentities,
        *,
        content: Reader,
        publisher: MatchPublisher,
        snapshots: Snapshots,
        progress: RegisterProgress,
        register_lock: asyncio.Lock,
        owned: dict[TopicPartition, PartitionState],
    ) -> None:
        self._dependencies = dependencies
        self._cache = cache
        self._register = register
        self._logs = logs
        self._content = content
        self._publisher = publisher
        self._dead_letters = DeadLetterWriter(dependencies, publisher)
        self._snapshots = snapshots
        self._progress = progress
        self._register_lock = register_lock
        self._owned = owned
        self._derived_of = DerivedOf(dependencies.policy.derived_orientations_of)
        self._chunk = CHUNK // self._derived_of.queries_for_one
        self.scanned_to = 0
        """Content below was applied, scanned against every partition joined before, and the matches are durable."""

    async def follow(self) -> None:
        """Apply what comes, for ever. Raises StartOver when the register cannot be caught up."""
        await self._content.assign({THE_CONTENT: self._register.position})
        while True:
            wait_seconds = _HURRY_SECONDS if self._progress.waiting else _POLL_SECONDS
            try:
                records = await self._content.read(timeout_seconds=wait_seconds)
            except (OffsetOutOfRange, UnknownTopic) as error:
                self._cache.register = None
                raise StartOver("the content log is not the one that was read") from error
            await self._take_in(records, self._content.position(THE_CONTENT))
            await self._snapshots.after_scan()

    async def _take_in(self, records: Sequence[Record], position: int) -> None:
        """Apply and scan what was read, in parts that leave the event loop to others in between."""
        while True:
            entries, records = await self.apply(records, position)
            await self.scan(entries, [owned for owned in self._owned.values() if owned.joined])
            self.scanned_to = self._register.position
            if not records:
                return
            await self._dependencies.sleep(0)

    async def apply(self, records: Sequence[Record], position: int) -> tuple[list[ViewEntry], Sequence[Record]]:
        """Let content enter the register; gives the entries that are new in it, and the records that are left. Without any record the
        register has reached `position`."""
        if self._register.too_old(self._dependencies.clock()):
            raise StartOver("the register is too old")
        entries: list[ViewEntry] = []
        async with self._register_lock:
            if self._register.upkeep_due:
                await self._on_register(self._register.rows, self._register.upkeep)
            refused = self._register.refused
            poison = []
            turn = Turn(self._register)
            with self._register.gathering():
                for record in records:
                    if turn.over():
                        break
                    try:
                        entries.extend(apply_content(self._register, record))
                    except Poison as error:
                        poison.append((record, error))
            left = records[turn.records :]
            self._register.position = left[0].offset if left else position
        self._progress.advanced()
        if self._register.refused > refused:
            log.error("register.fingerprints_refused", count=self._register.refused - refused)
        for record, why in poison:
            await self._dead_letters.refer(record, why, self._logs.content)
        if self._searched:
            entries = [entry for entry in entries if self._register.contains(entry)]
        return entries, left

    @property
    def _searched(self) -> bool:
        return any(owned.joined for owned in self._owned.values())

    async def index_register(self) -> None:
        """Put what was applied into the register's index. A search does that too; doing it before keeps the event loop free."""
        async with self._register_lock:
            await self._index_register()

    async def _index_register(self) -> None:
        if self._register.unindexed:
            await self._on_register(self._register.unindexed, self._register.index)

    async def _on_register(self, size: int, change: Callable[[], None]) -> None:
        """With the lock held: change it, in a thread where it takes long, and wait whatever happens: nobody may come between."""
        if size <= FEW:
            change()
            return
        changing = asyncio.ensure_future(self._dependencies.offload(change))
        await finish_though_cancelled(changing)

    async def scan(self, entries: Sequence[ViewEntry], over: Sequence[PartitionState]) -> None:
        """Match entries with what these partitions remember; durable when it returns. Of a lazy sequence few are values at once."""
        found: list[Found] = []
        with busy(over):
            for start in range(0, len(entries) if over else 0, self._chunk):
                if start:
                    await self._dependencies.sleep(0)
                part = entries[start : start + self._chunk]
                for owned in over:
                    async with owned.shared.lock:
                        meet = partial(match_against_history, owned.history, part, self._derived_of)
                        pairs = len(part) * len(owned.history) * self._derived_of.queries_for_one
                        agreements = await self._dependencies.compute(pairs, meet)
                    found.extend((owned, agreement) for agreement in agreements)
            await self._publisher.send(found)

    async def view(self) -> RegisterView:
        """The register as it is now, indexed, to be searched while content goes on entering."""
        async with self._register_lock:
            await self._index_register()
            return self._register.view()
