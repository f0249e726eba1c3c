"""What is true of the world: content, sightings and erasures as the log took them, and what must and must not be matched.

Agreement is judged here in plain Python, apart from the code under test.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from shared.contracts.content import Assurance, ContentChanged, ContentState, RegisteredFingerprint
from shared.contracts.event import Event, data_of, headers_of
from shared.contracts.sightings import SeenFingerprint, Sighting, SightingsBatch, UrlErased
from shared.contracts.topics import CONTENT, SIGHTINGS
from shared.log.port import OutgoingRecord

RETENTION = timedelta(days=180)


def _values() -> dict[str, tuple[str, str]]:
    """name -> (algorithm, hex). p0-p1 and p1-p2 agree (20 bits apart), p0-p2 do not (40 bits)."""
    base = int.from_bytes(hashlib.sha256(b"base").digest())
    other = int.from_bytes(hashlib.sha256(b"other").digest())
    pdq = {"p0": base, "p1": base ^ (2**20 - 1), "p2": base ^ (2**40 - 1), "q": other}
    values = {name: ("pdq", value.to_bytes(32).hex()) for name, value in pdq.items()}
    return values | {name: ("md5", hashlib.md5(name.encode()).hexdigest()) for name in ("m0", "m1")}


VALUES = _values()


def agree(one: str, other: str) -> bool:
    """Whether two named values agree."""
    (algorithm, value), (other_algorithm, other_value) = VALUES[one], VALUES[other]
    if algorithm != other_algorithm:
        return False
    if algorithm != "pdq":
        return value == other_value
    return (int(value, 16) ^ int(other_value, 16)).bit_count() <= 31


@dataclass
class Content:
    """A content as its owner has it; `inactive_since` is when the log first said so (None: active there)."""

    content_id: UUID
    names: frozenset[str]
    state: ContentState = ContentState.ACTIVE
    revision: int = 1
    max_distance: int | None = None
    told: tuple[int, ContentState] = (0, ContentState.AWAITING_CONFIRMATION)
    inactive_since: tuple[int, datetime] | None = None
    tombstoned: bool = False

    def event(self, now: datetime) -> ContentChanged:
        fingerprints = [] if self.state is ContentState.WITHDRAWN else sorted(self.names)
        return ContentChanged(
            content_id=self.content_id,
            revision=self.revision,
            state=self.state,
            fingerprints=tuple(
                RegisteredFingerprint(
                    algorithm=VALUES[name][0],
                    value=VALUES[name][1],
                    quality=80 if VALUES[name][0] == "pdq" else None,
                    assurance=Assurance.VIEWED,
                    max_distance=self.max_distance,
                )
                for name in fingerprints
            ),
            changed_at=now,
        )


@dataclass
class Placed:
    """One sighting where the log has it (a replay places it again)."""

    partition: int
    offset: int
    appended_at: datetime
    url: str
    names: frozenset[str]
    sighting_id: UUID
    report_id: UUID | None


@dataclass
class Truth:
    contents: dict[UUID, Content] = field(default_factory=dict)
    placed: list[Placed] = field(default_factory=list)
    erased: dict[str, tuple[int, int]] = field(default_factory=dict)
    """url -> (offset of its last erasure, step)"""

    def alive(self, one: Placed, now: datetime) -> bool:
        """Neither erased nor past its retention."""
        return one.offset > self.erased.get(one.url, (-1, 0))[0] and one.appended_at > now - RETENTION

    def required(self, now: datetime) -> list[tuple[UUID, Placed, set[UUID]]]:
        """Every agreeing pair of active content and living sighting, and the sightings whose match fulfils it: itself, or a
        later one of the same value at the same URL (a repeat refreshes the entry)."""
        found = []
        for content in self.contents.values():
            if content.state is not ContentState.ACTIVE:
                continue
            for one in self.placed:
                common = {name for name in one.names if any(agree(name, other) for other in content.names)}
                if not common or not self.alive(one, now):
                    continue
                later = {
                    other.sighting_id
                    for other in self.placed
                    if other.url == one.url and other.offset >= one.offset and other.names & common
                }
                found.append((content.content_id, one, later))
        return found


def outgoing(event: Event, *, topic: str, key: str | None, now: datetime) -> OutgoingRecord:
    return OutgoingRecord(
        topic=topic,
        key=None if key is None else key.encode(),
        value=data_of(event),
        headers=headers_of(type(event), event_id=UUID(int=1), source="model", time=now),
    )


def content_record(content: Content, now: datetime) -> OutgoingRecord:
    return outgoing(content.event(now), topic=CONTENT.name, key=str(content.content_id), now=now)


def tombstone(content_id: UUID) -> OutgoingRecord:
    return OutgoingRecord(topic=CONTENT.name, key=str(content_id).encode(), value=None)


def make_sighting(rng: random.Random, url: str, names: Sequence[str], now: datetime, *, reported: bool) -> Sighting:
    return Sighting(
        sighting_id=UUID(int=rng.getrandbits(128)),
        organisation_id="o",
        source="crawler",
        media_url=url,
        url_key=url,
        seen_at=now,
        report_id=UUID(int=rng.getrandbits(128)) if reported else None,
        fingerprints=tuple(
            SeenFingerprint(
                algorithm=VALUES[name][0],
                value=VALUES[name][1],
                quality=80 if VALUES[name][0] == "pdq" else None,
            )
            for name in names
        ),
    )


def sightings_record(batch: Sequence[Sighting], now: datetime) -> OutgoingRecord:
    return outgoing(SightingsBatch(sightings=tuple(batch)), topic=SIGHTINGS.name, key=None, now=now)


def erasure_record(url: str, now: datetime) -> OutgoingRecord:
    return outgoing(UrlErased(url_key=url, erased_at=now), topic=SIGHTINGS.name, key=None, now=now)
