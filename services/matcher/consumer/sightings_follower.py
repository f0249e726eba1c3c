"""Sightings enter the history of their partition, then meet the register: add before you look."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import structlog

from services.matcher.consumer.assignment import PartitionAssignment, shared_history
from services.matcher.consumer.batch_parts import chunks_of
from services.matcher.consumer.batch_size import BatchSize, in_parts
from services.matcher.consumer.commits import LogIdentities
from services.matcher.consumer.dead_letters import DeadLetterWriter
from services.matcher.consumer.decoding import admit_record, decode_sightings
from services.matcher.consumer.offset_committer import OffsetCommitter
from services.matcher.consumer.partitions import (
    MatcherDependencies,
    PartitionState,
    ProcessCache,
    StartOver,
    building_caught_up,
    busy,
)
from services.matcher.consumer.publisher import Found, MatchPublisher
from services.matcher.consumer.snapshots import Snapshots
from services.matcher.join.derived_orientations import DerivedOf
from services.matcher.join.matching import Agreement, match_against_register
from services.matcher.register.register import Register
from services.matcher.register.view import RegisterView
from services.matcher.sightings.batch import SeenBatch
from shared.errors import Poison
from shared.log.port import GroupReader, OffsetOutOfRange, Polled, Record, TopicPartition, UnknownTopic
from shared.process.metrics import SIGHTINGS_AT_ONCE, SIGHTINGS_MATCHED

log = structlog.get_logger(__name__)

MANY = 16_384
"""Fingerprints looked up in the register at once: more together are cheaper, and nothing waits for them but their own matches."""
_POLL_SECONDS = 0.5


class SightingsFollower:
    """Reads the partitions that the group gives. `register_view` gives the register as it is to be searched."""

    def __init__(
        self,
        dependencies: MatcherDependencies,
        cache: ProcessCache,
        register: Register,
        logs: LogIdentities,
        *,
        group: GroupReader,
        publisher: MatchPublisher,
        snapshots: Snapshots,
        committer: OffsetCommitter,
        assignment: PartitionAssignment,
        register_view: Callable[[], Awaitable[RegisterView]],
        owned: dict[TopicPartition, PartitionState],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._dependencies = dependencies
        self._cache = cache
        self._register = register
        self._logs = logs
        self._group = group
        self._publisher = publisher
        self._dead_letters = DeadLetterWriter(dependencies, publisher)
        self._snapshots = snapshots
        self._committer = committer
        self._assignment = assignment
        self._register_view = register_view
        self.owned = owned
        self._tasks = tasks
        self._derived_of = DerivedOf(dependencies.policy.derived_orientations_of)
        self._many = MANY // self._derived_of.queries_for_one
        self._batch_size = BatchSize()
        self._publishing: asyncio.Task[None] | None = None
        self.polled = False

    async def follow(self) -> None:
        """Take what the group gives, for ever."""
        while True:
            most = self._batch_size.records if await building_caught_up(self.owned.values(), self._dependencies) else 1
            try:
                polled = await self._group.poll(timeout_seconds=_POLL_SECONDS, max_records=most)
            except (OffsetOutOfRange, UnknownTopic) as error:
                log.error("matcher.position_lost", error=type(error).__name__)
                raise StartOver("a sightings position is not there any more") from error
            self._change_ownership(polled)
            self.polled = True
            began = self._dependencies.clock()
            await self.handle(polled.records)
            if polled.records:
                self._batch_size.took(polled.records, (self._dependencies.clock() - began).total_seconds())
                SIGHTINGS_AT_ONCE.set(self._batch_size.records)

    def _change_ownership(self, polled: Polled) -> None:
        for partition in sorted(polled.revoked):
            self._release(partition)
        for partition in sorted(polled.assigned):
            self._release(partition)
            shared = shared_history(self._cache, partition.partition, self._dependencies, self._logs)
            owned = self.owned[partition] = PartitionState(partition=partition, shared=shared)
            owned.task = self._tasks.create_task(self._take_over(owned))

    def _release(self, partition: TopicPartition) -> None:
        """What is kept of a revoked partition is its history and its position alone."""
        owned = self.owned.pop(partition, None)
        if owned is None:
            return
        owned.lost, owned.joined, owned.ready = True, False, False
        self._cache.histories[partition.partition] = owned.shared
        self._cache.revoked_at[partition.partition] = self._dependencies.clock()
        if owned.task is not None:
            owned.task.cancel()

    async def _take_over(self, owned: PartitionState) -> None:
        await self._assignment.run(owned)
        self._cache.histories[owned.partition.partition] = owned.shared

    async def handle(self, records: Sequence[Record]) -> None:
        """Remember and look up one poll's records of all partitions together, in parts that fit into memory. A part is published while
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
        if any(self._snapshots.due(owned) for owned in upto):
            await self._published()  # a history is written as it is committed: it must not always be a step ahead
        batches: list[tuple[PartitionState, SeenBatch]] = []
        for owned, position in upto.items():
            batches.extend((owned, batch) for batch in await self.admit(owned, of_partition[owned.partition], position))
        found = await self.look_up(batches)
        await self._published()
        self._publishing = self._tasks.create_task(self.publish(found, batches, upto))

    async def _published(self) -> None:
        """Wait until the matches of the last lookup are published and committed. If that fails, the session ends with the error."""
        if self._publishing is not None:
            await asyncio.wait({self._publishing})

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
                    admit_record(owned.history, record.offset, decoded)
                except Poison as error:
                    poison.append((record, error))
                    continue
                if isinstance(decoded, SeenBatch):
                    batches.append(decoded)
                await self._dependencies.sleep(0)  # heartbeats go on beside many records
            owned.history.position = max(position, owned.history.position)
        for record, why in poison:
            await self._dead_letters.refer(record, why, self._logs.sightings)
        return batches

    async def look_up(self, sightings: Sequence[tuple[PartitionState, SeenBatch]]) -> list[Found]:
        """What these sightings, which are in the history, agree with in the register."""
        of_partition = {owned.partition.partition: owned for owned, _ in sightings}
        found: list[Found] = []
        for part in chunks_of([batch for _, batch in sightings], self._many):
            register = await self._register_view()
            # Content goes on entering meanwhile, and is matched with these sightings by its own scan of the histories.
            pairs = sum(batch.fingerprints for batch in part) * sum(self._register.sizes().values())
            pairs *= self._derived_of.queries_for_one
            meet = partial(match_against_register, register, part, self._derived_of)
            agreements: list[Agreement] = await self._dependencies.compute(pairs, meet)
            found.extend((of_partition[agreement.seen.partition], agreement) for agreement in agreements)
        return found

    async def publish(
        self,
        found: Sequence[Found],
        sightings: Sequence[tuple[PartitionState, SeenBatch]],
        upto: Mapping[PartitionState, int],
    ) -> None:
        """Publish what was found of these sightings, and commit up to where they stand once that is durable."""
        reported = [(owned, seen) for owned, batch in sightings for seen in batch.reported()]
        with busy({owned for owned, _ in sightings}):
            await self._publisher.send(found, reported)
        for owned, position in upto.items():
            owned.handled_to = position
        await self._committer.commit(upto)
        SIGHTINGS_MATCHED.inc(sum(len(batch) for _, batch in sightings))
