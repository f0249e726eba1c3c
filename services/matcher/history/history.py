"""The history of one sightings partition: what was seen where, kept to be met by content confirmed later.

One entry for each (URL, fingerprint), with its last sighting. That bounds what is *stored*; it says nothing of what is matched:
every sighting read is matched, also when its entry was there already.

What comes enters a live head (`memtable.py`). A full one is sealed, and frozen with the younger segments (`segments.py`) into a new one in
the background; a repeat leaves its older entry dead in its segment until that is built anew. An entry's number is its part and its
row: it holds until the history is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from services.matcher.history.compaction import CompactionJob, died_meanwhile
from services.matcher.history.memtable import Memtable, SearchedValue
from services.matcher.history.segments import Segment
from services.matcher.index.fingerprint_index import Hit
from services.matcher.index.merging_parts import Measures, SearchCounts
from services.matcher.sightings.columns import ALGORITHMS, Columns, Mask, Rows, to_micros
from services.matcher.sightings.incoming import arrivals_of
from services.matcher.sightings.sighting import HistoryEntry, StoredSighting, Url, url_digest
from shared.media.fingerprints import Algorithm, Fingerprint

HEAD_ENTRIES = 32_768
"""Entries in a head that is sealed; with twice as many sightings (repeats) it is sealed, too."""
SEGMENT_ENTRIES = 1 << 20
"""Segments are not merged into one beyond this."""
ALIKE = 8
"""Segments of one size that are merged into one."""
CLEARED_AFTER = timedelta(minutes=30)
"""From an erasure until the segment is built anew without it."""
TIDIED_AFTER = timedelta(days=1)
"""From the first dead entry of a segment until it is built anew without it."""
RETRIED_AFTER = timedelta(minutes=1)
MOST_SEALED = 8
"""How many full heads may wait for a segment, some 15 MB each. Beyond that, whoever admits sightings should wait for the building."""
_PART = 32

Task = Callable[[], None]
RunTask = Callable[[Task], None]


def at_once(task: Task) -> None:
    task()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A history at one moment, for its files. `segments`: (number, alive); `recent`: what is not in a file yet, and which of it is
    alive; `unknown`: numbers of segments that are being built; `next_number` is above all."""

    log_id: str
    partition: int
    position: int
    erasures_known_at: datetime
    segments: tuple[tuple[int, Mask], ...]
    recent: tuple[tuple[Columns, Mask], ...]
    unknown: frozenset[int]
    next_number: int


@dataclass(eq=False, kw_only=True)
class History:
    """`position`: everything of the partition below it is in here (what has expired or was erased left out).

    `erasures_known_at`: every erasure appended to the partition until then is known here. `folder`: where segments are written;
    None: memory. Not to be used by two threads at once; what `run` is given runs beside anything.
    """

    log_id: str
    position: int
    kept: timedelta
    erasures_known_at: datetime
    partition: int = 0
    folder: Path | None = None
    run: RunTask = at_once
    head_entries: int = HEAD_ENTRIES

    def __post_init__(self) -> None:
        self.admitted = 0
        """Sightings admitted in the life of this object."""
        self._erased: dict[bytes, int] = {}
        self._highest = -1
        self._segments: list[tuple[int, Segment]] = []
        self._sealed: list[tuple[int, Memtable]] = []
        self._head: tuple[int, Memtable] = (1, Memtable())
        self._next_number = 2
        self._job: CompactionJob | None = None
        self._failures: list[OSError] = []
        self._failed = False
        self._retry_at: datetime | None = None
        self._dead_since: dict[int, datetime] = {}
        self._erased_since: dict[int, datetime] = {}
        self._built = 0
        self._build_seconds = 0.0
        self._queries = 0
        self._gone_counts = SearchCounts()
        """Of segments that are not there any more."""

    def __len__(self) -> int:
        return sum(part.living for _, part in self._parts())

    def _parts(self) -> Iterator[tuple[int, Segment | Memtable]]:
        yield self._head
        yield from self._sealed
        yield from self._segments

    @property
    def memory_bytes(self) -> int:
        return sum(part.memory_bytes for _, part in self._parts())

    @property
    def disk_bytes(self) -> int:
        return sum(segment.disk_bytes for _, segment in self._segments)

    @property
    def sealed_heads(self) -> int:
        """How many full heads are in no segment yet: memory that building would free."""
        return len(self._sealed)

    @property
    def behind(self) -> bool:
        """Whether there are so many sealed heads that building should be waited for. Not where it has failed: then waiting would not
        help."""
        return len(self._sealed) > MOST_SEALED and self._job is not None

    # What the log says

    def admit(self, sightings: Sequence[StoredSighting]) -> None:
        """Remember sightings, in order. A repeat refreshes its entry: last seen *and* which sighting.

        Cheapest when given many at once. Read again from below: what is older than its entry says nothing new.
        """
        arrived = arrivals_of(sightings, self._counts)
        if not arrived.offset:
            return
        _, head = self._head
        self._settle(head.admit(arrived, self._highest), read_again=min(arrived.offset) < self._highest)
        self._highest = max(self._highest, *arrived.offset)
        self.admitted += len(arrived.offset)
        if len(head) >= self.head_entries or head.sightings >= 2 * self.head_entries:
            self._seal()
            self._go_on()

    def _counts(self, digest: bytes, offset: int) -> bool:
        return not self._erased or self._erased.get(digest, -1) <= offset

    def _settle(self, fresh: SearchedValue, *, read_again: bool) -> None:
        """Keep the latest entry for each that is new in the head: there may be an older one elsewhere, or, reading again, a later one."""
        _, head = self._head
        older: list[tuple[int, Segment | Memtable]] = [*self._sealed, *self._segments]
        for _, part in older:
            found = part.find(fresh)
            both = np.flatnonzero(found >= 0)
            if not len(both):
                continue
            both = both[part.alive[found[both]]]
            if read_again and len(both):
                rows = fresh.rows[both]
                both = both[self._is_later(head.offsets_of(rows), part.offsets_of(found[both]), rows)]
            part.kill(found[both])

    def _is_later(self, mine: Rows, theirs: Rows, rows: Rows) -> Mask:
        later: Mask = mine >= theirs
        self._head[1].kill(rows[~later])
        return later

    def erase(self, url: Url, offset: int) -> None:
        """Forget every sighting of `url` that stands below `offset`; one below it that is read later does not count either."""
        mark = url_digest(*url)
        self._erased[mark] = max(offset, self._erased.get(mark, offset))
        for _, part in self._parts():
            rows = part.rows_of(mark)
            if len(rows):
                part.kill(rows[part.alive[rows] & (part.offsets_of(rows) < offset)])
                part.has_erased = part.has_erased or not part.alive[rows].all()

    def expire(self, now: datetime) -> None:
        """Forget what was last seen longer ago than it is kept, by the log's append time."""
        limit = to_micros(now - self.kept)
        for _, part in self._parts():
            part.forget_before(limit)

    def drop_marks(self, below: int) -> None:
        """Drop marks of erasures below a committed position: nothing before them is read again."""
        if self._erased:
            self._erased = {mark: offset for mark, offset in self._erased.items() if offset >= below}

    # What is asked of it

    def search(self, wanted: Sequence[Fingerprint]) -> list[Hit]:
        """Everything that agrees. Changes nothing."""
        hits: list[Hit] = []
        for algorithm in ALGORITHMS:
            rows = [row for row, one in enumerate(wanted) if one.algorithm is algorithm]
            if not rows:
                continue
            raw = b"".join(wanted[row].value for row in rows)
            values = np.frombuffer(raw, dtype=np.uint8).reshape(-1, algorithm.size_bytes)
            self._queries += len(rows) if algorithm is Algorithm.PDQ else 0
            for number, part in self._parts():
                found, there, distances = part.search(algorithm, values)
                alive = part.alive[there]
                columns = (found[alive].tolist(), there[alive].tolist(), distances[alive].tolist())
                hits.extend(
                    Hit(row=rows[place], number=number << _PART | row, distance=distance)
                    for place, row, distance in zip(*columns, strict=True)
                )
        return hits

    def entry(self, number: int) -> HistoryEntry:
        """The entry of this number. Raises KeyError."""
        row = number & ((1 << _PART) - 1)
        for there, part in self._parts():
            if there == number >> _PART and row < len(part) and part.alive[row]:
                return part.remembered(row, self.partition)
        raise KeyError(number)

    def erased_after(self, seen: StoredSighting) -> bool:
        """Whether its URL was erased after it was seen."""
        return bool(self._erased) and self._erased.get(url_digest(*seen.url), -1) > seen.offset

    def measures(self) -> Measures:
        """Of the segments' indexes. `head_entries`: what is in no segment yet; `merges`: segments built; a query counts once, however
        many segments it is asked of."""
        return Measures(
            head_entries=sum(part.living for part in (self._head[1], *(head for _, head in self._sealed))),
            nbytes=sum(segment.table.nbytes for _, segment in self._segments),
            merges=self._built,
            merge_seconds=self._build_seconds,
            counts=self._counted(self._segments),
        )

    def _counted(self, segments: Sequence[tuple[int, Segment]]) -> SearchCounts:
        """In these, and in those that are gone."""
        counts = [self._gone_counts, *(segment.counts for _, segment in segments)]
        return SearchCounts(
            queries=self._queries,
            candidates=sum(one.candidates for one in counts),
            scans=sum(one.scans for one in counts),
        )

    # Sealing, merging, clearing

    def upkeep(self, now: datetime) -> None:
        """Put in place what was built, and begin what is due. To be called now and then."""
        if self._failed and self._retry_at is None:
            self._retry_at = now + RETRIED_AFTER
        elif self._retry_at is not None and now >= self._retry_at:
            self._failed, self._retry_at = False, None
        for number, part in self._parts():
            if part.has_erased:
                self._erased_since.setdefault(number, now)
            if part.living < len(part):
                self._dead_since.setdefault(number, now)
        number, head = self._head
        if head.has_erased and now - self._erased_since[number] >= CLEARED_AFTER:
            self._seal()
        self._go_on(now)

    def take_failures(self) -> list[OSError]:
        """The failures to build segments since this was asked last. Building is tried again; nothing is lost."""
        failures, self._failures = self._failures, []
        return failures

    def _seal(self) -> None:
        self._sealed.append(self._head)
        self._head = (self._take_number(), Memtable())

    def _take_number(self) -> int:
        number, self._next_number = self._next_number, self._next_number + 1
        return number

    def _go_on(self, now: datetime | None = None) -> None:
        while True:
            if self._job is not None:
                if not self._job.done:
                    return
                self._put_in_place(self._job)
            self._gone_counts = self._counted([(number, one) for number, one in self._segments if not one.living])
            self._segments = [(number, one) for number, one in self._segments if one.living]
            self._sealed = [(number, one) for number, one in self._sealed if one.living]
            sources = () if self._failed else self._due(now)
            if not sources:
                return
            self._begin(sources)

    def _due(self, now: datetime | None) -> tuple[int, ...]:
        """The parts that should be built into one now."""
        if self._sealed:
            return (*self._taken_in(), *(number for number, _ in self._sealed))
        for number, segment in self._segments:
            hollow = 2 * segment.living < len(segment)
            if hollow or (now is not None and self._should_be_cleared(number, segment, now)):
                return (number,)
        return ()

    def _taken_in(self) -> tuple[int, ...]:
        """The youngest segments, once there are many of one size: so an entry is copied few times in its life."""
        count = sum(head.living for _, head in self._sealed)
        taken = 0
        while True:
            alike, size = 0, count
            older = [segment for _, segment in self._segments[: len(self._segments) - taken]]
            for segment in reversed(older):
                if self._tier(segment.living) > self._tier(count) or size + segment.living > SEGMENT_ENTRIES:
                    break
                alike, size = alike + 1, size + segment.living
            full = alike < len(older) and size + older[-alike - 1].living > SEGMENT_ENTRIES
            if alike + 1 < ALIKE and not (full and alike > 1):
                return tuple(number for number, _ in self._segments[len(self._segments) - taken :])
            taken, count = taken + alike, size

    def _tier(self, living: int) -> int:
        return max(0, living // self.head_entries).bit_length() // (ALIKE - 1).bit_length()

    def _should_be_cleared(self, number: int, segment: Segment, now: datetime) -> bool:
        erased = segment.has_erased and now - self._erased_since.get(number, now) >= CLEARED_AFTER
        return erased or now - self._dead_since.get(number, now) >= TIDIED_AFTER

    def _begin(self, sources: tuple[int, ...]) -> None:
        parts = dict(self._parts())
        for source in sources:
            parts[source].has_erased = False  # what is erased from here on is seen when the segment is put in place
        number = self._take_number()
        self._job = CompactionJob(
            sources=sources,
            into=number,
            frozen=tuple((parts[source].unchanging(), parts[source].alive.copy()) for source in sources),
            folder=None if self.folder is None else self.folder / segment_name(number),
        )
        self.run(self._job.run)

    def _put_in_place(self, job: CompactionJob) -> None:
        self._job = None
        parts = dict(self._parts())
        if job.built is None:
            assert job.failure is not None
            self._failures.append(job.failure)
            for source in job.sources:
                parts[source].has_erased = True
            self._failed = True
            return
        segment, built = job.built.segment, job.built
        died = died_meanwhile(built, [parts[source].alive for source in job.sources])
        segment.kill(died)
        segment.has_erased = any(parts[source].has_erased for source in job.sources)
        self._built, self._build_seconds = self._built + 1, self._build_seconds + job.seconds
        gone = set(job.sources)
        self._gone_counts = self._counted([(number, one) for number, one in self._segments if number in gone])
        self._sealed = [(number, one) for number, one in self._sealed if number not in gone]
        place = next((at for at, (number, _) in enumerate(self._segments) if number in gone), len(self._segments))
        after = [(number, one) for number, one in self._segments[place:] if number not in gone]
        self._segments = [*self._segments[:place], (job.into, segment), *after]
        for since in (self._dead_since, self._erased_since):
            for source in gone:
                since.pop(source, None)

    # Its files

    def freeze(self) -> Frozen:
        """The history as it is now, whatever comes later."""
        in_files = [(number, one) for number, one in self._segments if one.folder is not None]
        others = [one for number, one in self._parts() if (number, one) not in in_files]
        return Frozen(
            log_id=self.log_id,
            partition=self.partition,
            position=self.position,
            erasures_known_at=self.erasures_known_at,
            segments=tuple((number, one.alive.copy()) for number, one in in_files),
            recent=tuple((one.unchanging(), one.alive.copy()) for one in others if one.living),
            unknown=frozenset() if self._job is None else frozenset({self._job.into}),
            next_number=self._take_number(),
        )

    def restore(self, segments: Sequence[tuple[int, Segment]], recent: Columns, next_number: int) -> None:
        """Take on what was frozen. To be called on an empty history."""
        self._segments = list(segments)
        self._head = (next_number, Memtable.of(recent))
        self._next_number = next_number + 1
        every = [segment.columns.offset for _, segment in segments] + [recent.offset]
        self._highest = max([self.position - 1, *(int(one.max()) for one in every if len(one))])


def segment_name(number: int) -> str:
    return f"segment-{number:010d}"
