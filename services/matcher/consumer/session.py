"""One membership in the group: content is followed, sightings are followed, partitions are taken over, side by side.

Add before you look: a sighting enters the history, then meets the register (`sightings_follower.py`); content enters the register,
then meets the history of each joined partition (`content_follower.py`). So each pair meets at least once, whichever comes second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.matcher.consumer.assignment import PartitionAssignment, RegisterProgress
from services.matcher.consumer.commits import LogIdentities
from services.matcher.consumer.content_follower import ContentFollower
from services.matcher.consumer.maintenance import MAINTENANCE_SECONDS, Maintenance
from services.matcher.consumer.offset_committer import OffsetCommitter
from services.matcher.consumer.partitions import MatcherDependencies, PartitionState, ProcessCache
from services.matcher.consumer.publisher import MatchPublisher
from services.matcher.consumer.sightings_follower import SightingsFollower
from services.matcher.consumer.snapshots import Snapshots
from services.matcher.register.register import Register
from shared.log.port import GroupReader, Publisher, Reader, TopicPartition


class MatcherSession:
    """Lives from joining the group to the first error. What it leaves behind is in `cache`."""

    def __init__(
        self,
        dependencies: MatcherDependencies,
        cache: ProcessCache,
        register: Register,
        logs: LogIdentities,
        *,
        group: GroupReader,
        content: Reader,
        publisher: Publisher,
    ) -> None:
        self._dependencies = dependencies
        self._cache = cache
        self._register = register
        self._logs = logs
        self._group = group
        self._progress = RegisterProgress()
        self.owned: dict[TopicPartition, PartitionState] = {}
        register_lock = asyncio.Lock()
        self.snapshots = Snapshots(dependencies, cache, register, register_lock)
        self._publisher = MatchPublisher(dependencies, register, publisher)
        self.content = ContentFollower(
            dependencies,
            cache,
            register,
            logs,
            content=content,
            publisher=self._publisher,
            snapshots=self.snapshots,
            progress=self._progress,
            register_lock=register_lock,
            owned=self.owned,
        )
        self.committer = OffsetCommitter(logs, group, self.snapshots, lambda: self.content.scanned_to)
        self._assignment = PartitionAssignment(
            dependencies=dependencies,
            logs=logs,
            group=group,
            register=register,
            progress=self._progress,
            scan=self.content.scan,
            index_register=self.content.index_register,
        )
        self.sightings: SightingsFollower | None = None
        """None until it runs."""
        self.at_end = False
        """The register was at the end of the log once in this session."""

    async def run(self) -> None:
        """Until cancelled, or an error of one of its tasks (an ExceptionGroup)."""
        async with asyncio.TaskGroup() as tasks:
            self.sightings = SightingsFollower(
                self._dependencies,
                self._cache,
                self._register,
                self._logs,
                group=self._group,
                publisher=self._publisher,
                snapshots=self.snapshots,
                committer=self.committer,
                assignment=self._assignment,
                register_view=self.content.view,
                owned=self.owned,
                tasks=tasks,
            )
            tasks.create_task(self.content.follow())
            tasks.create_task(self.sightings.follow())
            tasks.create_task(self.maintain())
            tasks.create_task(self.snapshots.keep())

    async def maintain(self) -> None:
        """Once a second, beside the rest: is the register at the end, are these still the logs, what has expired."""
        maintenance = Maintenance(self._dependencies, self._cache, self._register, self._logs)
        while True:
            self.at_end = await maintenance.look_at_register() or self.at_end
            await maintenance.look_at_logs()
            await maintenance.look_at_histories(self.owned, self._assignment.apply_erasures)
            await self.committer.commit(list(self.owned.values()))
            await maintenance.expire(self.owned)
            await maintenance.measure(self.owned)
            await self._dependencies.sleep(MAINTENANCE_SECONDS)

    def not_ready(self) -> Sequence[str]:
        """Why matches may be missing yet."""
        reasons = []
        if self._progress.waiting or not self.at_end:
            reasons.append(f"the register is being read: at {self._register.position}")
        if self.sightings is None or not self.sightings.polled:
            reasons.append("the group is being joined")
        for partition, owned in sorted(self.owned.items()):
            if not owned.ready:
                at = "" if owned.reading is None else ": at {} of {}".format(*owned.reading)
                reasons.append(f"partition {partition.partition} is being restored{at}")
        return reasons
