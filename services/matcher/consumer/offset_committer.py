"""Commits what of the stream is done: both offsets of a sightings partition in one record, after the matches are durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from services.matcher.consumer.commits import LogIdentities, OffsetPair, as_commit
from services.matcher.consumer.partitions import PartitionState
from services.matcher.consumer.snapshots import Snapshots
from shared.log.port import CommitRefused, GroupReader

log = structlog.get_logger(__name__)


class OffsetCommitter:
    """Commits for the partitions of one session. `scanned_to`: below that offset content was scanned against every joined partition."""

    def __init__(
        self, logs: LogIdentities, group: GroupReader, snapshots: Snapshots, scanned_to: Callable[[], int]
    ) -> None:
        self._logs = logs
        self._group = group
        self._snapshots = snapshots
        self._scanned_to = scanned_to
        self._lock = asyncio.Lock()

    async def commit(self, candidates: Iterable[PartitionState]) -> None:
        """Commit both offsets in one record, after the matches are durable. A former owner's commit has no effect."""
        async with self._lock:
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
            self._snapshots.after_commit(owned)

    def may_commit(self, owned: PartitionState) -> bool:
        return owned.ready and not owned.lost

    def pair_of(self, owned: PartitionState) -> OffsetPair:
        """The offsets to commit. S: what is handled. C: what was scanned when the partition was taken over, or since then with the
        others."""
        return OffsetPair(sightings=owned.handled_to, content=max(owned.scanned_to, self._scanned_to()))
