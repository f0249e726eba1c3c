"""One membership in the group: content is followed, sightings are followed, partitions are taken over, side by side.

Add before you look: a sighting enters the history, then meets the register (`handle`); content enters the register, then meets the
history of each joined partition (`apply`, `scan`). So each pair meets at least once, whichever comes second.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import structlog

from services.matcher.consumer.assignment import Moved, PartitionAssignment, shared_history
from services.matcher.consumer.batch_parts import Turn, chunks_of
from services.matcher.consumer.batch_size import Pace, in_parts
from services.matcher.consumer.commits import LogIdentities, OffsetPair, as_commit
from services.matcher.consumer.decoding import admit_record, apply_content, decode_sightings
from services.matcher.consumer.maintenance import HOUSEKEEPING_SECONDS, Housekeeping
from services.matcher.consumer.partitions import (
    GROUP,
    THE_CONTENT,
    MatcherDependencies,
    PartitionState,
    ProcessCache,
    StartOver,
    building_caught_up,
    busy,
    in_full,
)
from services.matcher.consumer.publisher import Found, MatchPublisher
from services.matcher.consumer.snapshots import Snapshots
from services.matcher.join.derived_orientations import DerivedOf
from services.matcher.join.matching import Agreement, meet_history, meet_register
from services.matcher.register.register import FEW, Register
from services.matcher.register.view import ViewEntry
from services.matcher.sightings.batch import SeenBatch
from shared.errors import Poison
from shared.log.dead_letters import letter_of
from shared.log.port import (
    CommitRefused,
    GroupReader,
    OffsetOutOfRange,
    Polled,
    Publisher,
    Reader,
    Record,
    TopicPartition,
    UnknownTopic,
)
from shared.process.metrics import SIGHTINGS_AT_ONCE, SIGHTINGS_MATCHED

log = structlog.get_logger(__name__)

CHUNK = 2000
"""Fingerprints looked up in a history at once: bounds how long it is not to be changed."""
MANY = 16_384
"""Fingerprints looked up in the register at once: more together are cheaper, and nothing waits for them but their own matches."""
_POLL_SECONDS = 0.5
_HURRY_SECONDS = 0.05
"""How long content is waited for while a partition waits for the register (its end may be a hole)."""

Result = TypeVar("Result")


class MatcherSession:
    """Lives from joining the group to the first error. What it leaves behind is `memory`."""

    def __init__(
        self,
        surroundings: MatcherDependencies,
        memory: ProcessCache,
        register: Register,
        logs: LogIdentities,
        *,
        group: GroupReader,
        content: Reader,
        publisher: Publisher,
    ) -> None:
        self._surroundings = surroundings
        self._memory = memory
        self._register = register
        self._logs = logs
        self._group = group
        self._content = content
        self._derived_of = DerivedOf(surroundings.policy.derived_orientations_of)
        self._chunk, self._many = (size // self._derived_of.queries_for_one for size in (CHUNK, MANY))
        self._register_lock = asyncio.Lock()
        self.snapshots = Snapshots(surroundings, memory, register, self._register_lock)
        self._sender = MatchPublisher(surroundings, register, publisher)
        self._commit_lock = asyncio.Lock()
        self._moved = Moved()
        self._pace = Pace()
        self._takeover = PartitionAssignment(
            surroundings=surroundings,
            logs=logs,
            group=group,
            register=register,
            moved=self._moved,
            scan=self.scan,
            index_register=self.index_register,
        )
        self._tasks: asyncio.TaskGroup | None = None
        self._telling: asyncio.Task[None] | None = None
        self.owned: dict[TopicPartition, PartitionState] = {}
        self.polled = False
        self.at_end = False
        """The register was at the end of the log once in this session."""
        self._scanned_to = 0
        """Content below was applied, scanned against every partition joined before, and the matches are durable."""

    async def run(self) -> None:
        """Until cancelled, or an error of one of its tasks (an ExceptionGroup)."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self.follow_content())
            tasks.create_task(self.follow_sightings())
            tasks.create_task(self.keep_house())
            tasks.create_task(self.snapshots.keep())

    # Content

    async def follow_content(self) -> None:
        """Apply what comes, for ever. Raises StartOver when the register cannot be caught up."""
        await self._content.assign({THE_CONTENT: self._register.position})
        while True:
            wait_seconds = _HURRY_SECONDS if self._moved.waiting else _POLL_SECONDS
            try:
                records = await self._content.read(timeout_seconds=wait_seconds)
            except (OffsetOutOfRange, UnknownTopic) as error:
                self._memory.register = None
                raise StartOver("the content log is not the one that was read") from error
            await self._take_in(records, self._content.position(THE_CONTENT))
            await self.snapshots.after_scan()

    async def _take_in(self, records: Sequence[Record], position: int) -> None:
        """Apply and scan what was read, in parts that leave the event loop to others in between."""
        while True:
            entries, records = await self.apply(records, position)
            await self.scan(entries, [owned for owned in self.owned.values() if owned.joined])
            self._scanned_to = self._register.position
            if not records:
                return
            await self._surroundings.sleep(0)

    async def apply(self, records: Sequence[Record], position: int) -> tuple[list[ViewEntry], Sequence[Record]]:
        """Let content enter the register; what is new in it, and the records that are left. Without any it has reached `position`."""
        if self._register.too_old(self._surroundings.clock()):
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
        self._moved.tell()
        if self._register.refused > refused:
            log.error("register.fingerprints_refused", count=self._register.refused - refused)
        for record, why in poison:
            await self._set_aside(record, why, self._logs.content)
        if self._searched:
            entries = [entry for entry in entries if self._register.holds(entry)]
        return entries, left

    @property
    def _searched(self) -> bool:
        return any(owned.joined for owned in self.owned.values())

    async def index_register(self) -> None:
        """Let the register's index take in what was applied. A search does it, too: that it is done before is for the event loop."""
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
        changing = asyncio.ensure_future(self._surroundings.offload(change))
        await in_full(changing)

    async def scan(self, entries: Sequence[ViewEntry], over: Sequence[PartitionState]) -> None:
        """Match entries with what these partitions remember; durable when it returns. Of a lazy sequence few are values at once."""
        found: list[Found] = []
        with busy(over):
            for start in range(0, len(entries) if over else 0, self._chunk):
                if start:
                    await self._surroundings.sleep(0)
                part = entries[start : start + self._chunk]
                for owned in over:
                    async with owned.shared.lock:
                        meet = partial(meet_history, owned.history, part, self._derived_of)
                        pairs = len(part) * len(owned.history) * self._derived_of.queries_for_one
                        agreements = await self._compute(pairs, meet)
                    found.extend((owned, agreement) for agreement in agreements)
            await self._sender.send(found)

    # Sightings

    async def follow_sightings(self) -> None:
        """Take what the group gives, for ever."""
        while True:
            most = self._pace.records if await building_caught_up(self.owned.values(), self._surroundings) else 1
            try:
                polled = await self._group.poll(timeout_seconds=_POLL_SECONDS, max_records=most)
            except (OffsetOutOfRange, UnknownTopic) as error:
                log.error("matcher.position_lost", error=type(error).__name__)
                raise StartOver("a sightings position is not there any more") from error
            self._change_ownership(polled)
            self.polled = True
            began = self._surroundings.clock()
            await self.handle(polled.records)
            if polled.records:
                self._pace.took(polled.records, (self._surroundings.clock() - began).total_seconds())
                SIGHTINGS_AT_ONCE.set(self._pace.records)

    def _change_ownership(self, polled: Polled) -> None:
        for partition in sorted(polled.revoked):
            self._release(partition)
        for partition in sorted(polled.assigned):
            self._release(partition)
            shared = shared_history(self._memory, partition.partition, self._surroundings, self._logs)
            owned = self.owned[partition] = PartitionState(partition=partition, shared=shared)
            assert self._tasks is not None
            owned.task = self._tasks.create_task(self._take_over(owned))

    def _release(self, partition: TopicPartition) -> None:
        """What is kept of a revoked partition is its history and its position alone."""
        owned = self.owned.pop(partition, None)
        if owned is None:
            return
        owned.lost, owned.joined, owned.ready = True, False, False
        self._memory.histories[partition.partition] = owned.shared
        self._memory.revoked_at[partition.partition] = self._surroundings.clock()
        if owned.task is not None:
            owned.task.cancel()

    async def _take_over(self, owned: PartitionState) -> None:
        await self._takeover.run(owned)
        self._memory.histories[owned.partition.partition] = owned.shared

    async def handle(self, records: Sequence[Record]) -> None:
        """Remember and look up one poll's records of all partitions together, in parts that fit into memory. A part is told of while
        the next one is read."""
        handled = 0
        for part in in_parts(records):
            handled += len(part)
            await self._handle_part(part, {one.topic_partition: one.offset for one in reversed(records[handled:])})

    async def _handle_part(self, records: Sequence[Record], goes_on_at: Mapping[TopicPartition, int]) -> None:
        """`goes_on_at`: where the poll has more records. Elsewhere all below the position is handled: what was removed at the end of
        the log, or never was a record, does not come."""
        of_partition: defaultdict[TopicPartition, list[Record]] = defaultdict(list)
        for record in records:
            of_partition[record.topic_partition].append(record)
        ready = [owned for owned in self.owned.values() if owned.ready]
        upto = {owned: goes_on_at.get(owned.partition, self._position(owned)) for owned in ready}
        upto = {owned: position for owned, position in upto.items() if position != owned.handled_to}
        if not upto:
            return
        if any(self.snapshots.due(owned) for owned in upto):
            await self._told()  # a history is written as it is committed: it must not always be a step ahead
        batches: list[tuple[PartitionState, SeenBatch]] = []
        for owned, position in upto.items():
            batches.extend((owned, batch) for batch in await self.admit(owned, of_partition[owned.partition], position))
        found = await self.look_up(batches)
        await self._told()
        assert self._tasks is not None
        self._telling = self._tasks.create_task(self.tell(found, batches, upto))

    async def _told(self) -> None:
        """Wait until what was looked up last is told of and committed. Should that fail, so does the session."""
        if self._telling is not None:
            await asyncio.wait({self._telling})

    def _position(self, owned: PartitionState) -> int:
        try:
            return self._group.position(owned.partition)
        except KeyError:  # revoked meanwhile; the next poll tells
            return owned.handled_to

    async def admit(self, owned: PartitionState, records: Sequence[Record], position: int) -> list[SeenBatch]:
        """Let sightings enter the history and erasures clear it; the sightings, each of which is to be matched."""
        batches: list[SeenBatch] = []
        poison = []
        async with owned.shared.lock:
            for record in records:
                try:
                    decoded = decode_sightings(record)
                except Poison as error:
                    poison.append((record, error))
                    continue
                admit_record(owned.history, record.offset, decoded)
                if isinstance(decoded, SeenBatch):
                    batches.append(decoded)
                await self._surroundings.sleep(0)  # heartbeats go on beside many records
            owned.history.position = max(position, owned.history.position)
        for record, why in poison:
            await self._set_aside(record, why, self._logs.sightings)
        return batches

    async def look_up(self, sightings: Sequence[tuple[PartitionState, SeenBatch]]) -> list[Found]:
        """What these sightings, which are in the history, agree with in the register."""
        of_partition = {owned.partition.partition: owned for owned, _ in sightings}
        found: list[Found] = []
        for part in chunks_of([batch for _, batch in sightings], self._many):
            async with self._register_lock:
                await self._index_register()
                register = self._register.view()
            # The lock is let go: content goes on entering, and is matched with these sightings by its own scan of the histories.
            pairs = sum(batch.fingerprints for batch in part) * sum(self._register.sizes().values())
            pairs *= self._derived_of.queries_for_one
            meet = partial(meet_register, register, part, self._derived_of)
            agreements: list[Agreement] = await self._compute(pairs, meet)
            found.extend((of_partition[agreement.seen.partition], agreement) for agreement in agreements)
        return found

    async def tell(
        self,
        found: Sequence[Found],
        sightings: Sequence[tuple[PartitionState, SeenBatch]],
        upto: Mapping[PartitionState, int],
    ) -> None:
        """Publish what was found of these sightings, and commit up to where they stand once that is durable."""
        reported = [(owned, seen) for owned, batch in sightings for seen in batch.reported()]
        with busy({owned for owned, _ in sightings}):
            await self._sender.send(found, reported)
        for owned, position in upto.items():
            owned.handled_to = position
        await self.commit(upto)
        SIGHTINGS_MATCHED.inc(sum(len(batch) for _, batch in sightings))

    # Commits

    async def commit(self, candidates: Iterable[PartitionState]) -> None:
        """Commit both offsets in one record, after the matches are durable. A former owner's commit has no effect."""
        async with self._commit_lock:
            pairs = {owned: self.pair_of(owned) for owned in candidates if self.may_commit(owned)}
            changed = {owned: pair for owned, pair in pairs.items() if pair != owned.committed}
            try:
                if changed:
                    await self._group.commit(
                        {owned.partition: as_commit(pair, self._logs) for owned, pair in changed.items()}
                    )
            except CommitRefused:
                log.warning("matcher.commit_refused")  # the next poll tells what is lost
                return
            for owned, pair in changed.items():
                owned.committed = pair
                if not owned.matching:
                    owned.history.drop_marks(pair.sightings)
        for owned in pairs:
            self.snapshots.after_commit(owned)

    def may_commit(self, owned: PartitionState) -> bool:
        return owned.ready and not owned.lost

    def pair_of(self, owned: PartitionState) -> OffsetPair:
        """S: what is handled. C: what was scanned when it was taken over, or since then with the others."""
        return OffsetPair(sightings=owned.handled_to, content=max(owned.scanned_to, self._scanned_to))

    # Upkeep

    async def keep_house(self) -> None:
        """Once a second, beside the rest: is the register at the end, are these still the logs, what has expired."""
        house = Housekeeping(self._surroundings, self._memory, self._register, self._logs)
        while True:
            self.at_end = await house.look_at_register() or self.at_end
            await house.look_at_logs()
            await house.look_at_histories(self.owned, self._takeover.learn_erasures)
            await self.commit(list(self.owned.values()))
            await house.expire(self.owned)
            await house.measure(self.owned)
            await self._surroundings.sleep(HOUSEKEEPING_SECONDS)

    def not_ready(self) -> Sequence[str]:
        """Why matches may be missing yet."""
        reasons = []
        if self._moved.waiting or not self.at_end:
            reasons.append(f"the register is being read: at {self._register.position}")
        if not self.polled:
            reasons.append("the group is being joined")
        for partition, owned in sorted(self.owned.items()):
            if not owned.ready:
                at = "" if owned.reading is None else ": at {} of {}".format(*owned.reading)
                reasons.append(f"partition {partition.partition} is being restored{at}")
        return reasons

    # Both

    async def _compute(self, pairs: int, function: Callable[[], Result]) -> Result:
        """In a thread where it is worth one: the heartbeat goes on beside a large query."""
        if pairs <= self._surroundings.inline_pairs:
            return function()
        return await self._surroundings.offload(function)

    async def _set_aside(self, record: Record, error: Poison, log_id: str) -> None:
        letter = letter_of(record, error, group=GROUP, log_id=log_id, at=self._surroundings.clock())
        await self._sender.send_dead_letter(letter)
