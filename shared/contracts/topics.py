"""The topics, as data. Partition counts are settings of the first start and fixed once created."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic. `retention` None means compacted: the newest record of each key is kept for ever."""

    name: str
    partitions: int
    retention: timedelta | None
    written_by: frozenset[str]
    read_by: frozenset[str]
    min_compaction_lag: timedelta = HOUR
    max_compaction_lag: timedelta = DAY
    delete_retention: timedelta = 90 * DAY
    segment: timedelta = DAY

    @property
    def compacted(self) -> bool:
        return self.retention is None


def _topic(name: str, partitions: int, retention: timedelta | None, *, by: str, to: str) -> Topic:
    return Topic(
        name=f"takedown.{name}",
        partitions=partitions,
        retention=retention,
        written_by=frozenset(by.split()),
        read_by=frozenset(to.split()),
    )


CONTENT = _topic("content", 1, None, by="intake", to="matcher notifier console")
CLAIMS = _topic("claims", 3, None, by="intake", to="notifier console")
SIGHTINGS = _topic("sightings", 12, 180 * DAY, by="intake", to="matcher")
MATCHES = _topic("matches", 12, 31 * DAY, by="matcher intake", to="notifier intake")
DECISIONS = _topic("decisions", 3, 400 * DAY, by="intake notifier", to="intake notifier")
TARGETS = _topic("targets", 3, None, by="notifier", to="console")
LIFECYCLE = _topic("lifecycle", 6, 400 * DAY, by="notifier", to="console")
DEAD_LETTERS = _topic("dead-letters", 1, 30 * DAY, by="intake matcher notifier", to="console intake matcher notifier")

TOPICS: tuple[Topic, ...] = (CONTENT, CLAIMS, SIGHTINGS, MATCHES, DECISIONS, TARGETS, LIFECYCLE, DEAD_LETTERS)
BY_NAME = {topic.name: topic for topic in TOPICS}

SIGHTINGS_RECORD_BYTES = 64 * 1024
"""A record of sightings is cut at this size."""
