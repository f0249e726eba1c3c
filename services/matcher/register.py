"""The register: all active content, as numbered fingerprints that can be searched. Built from `takedown.content` alone.

Only a higher revision is applied. What was suspended, withdrawn or tombstoned stays remembered by its revision, so that an older
event that comes late cannot bring it back; its fingerprints do not stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from services.matcher.fingerprint_table import FingerprintTable, Hit
from services.matcher.index import Hashes, Hits
from services.matcher.negative_list import NegativeList
from shared.contracts.content import Assurance, ContentChanged, ContentState, RegisteredFingerprint
from shared.fingerprints import Algorithm, BadFingerprint, Fingerprint, parse_fingerprint

MAX_AGE = timedelta(days=60)
"""A register further behind may have missed a tombstone: `delete.retention.ms` is 90 days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One fingerprint of active content. `offset` is that of the content event that brought it, as it stands."""

    number: int
    content_id: UUID
    offset: int
    fingerprint: Fingerprint
    assurance: Assurance
    max_distance: int
    traceparent: str | None = None


@dataclass(slots=True, kw_only=True)
class _Content:
    """`revision` None: only a tombstone was seen, which no revision is above."""

    revision: int | None
    numbers: dict[RegisteredFingerprint, int] = field(default_factory=dict)


class Register:
    """`position`: everything of the content log below it is applied. `at_end_at`: when it was last known to be at the log's end."""

    def __init__(self, *, log_id: str, started_at: datetime) -> None:
        self.log_id = log_id
        self.position = 0
        self.at_end_at = started_at
        self.refused = 0
        """Fingerprints that could not be used: malformed or degenerate, and never to be matched."""
        self.negative_list = NegativeList()
        self._table = FingerprintTable()
        self._contents: dict[UUID, _Content] = {}
        self._entries: dict[int, Entry] = {}  # numbers rise with offsets, so this is in order of both
        self._next_number = 0

    # What the log says

    def apply(self, offset: int, event: ContentChanged, *, traceparent: str | None = None) -> tuple[Entry, ...]:
        """Take in an event; the entries that are new, or not as they were, and so must meet the histories."""
        known = self._contents.get(event.content_id)
        if not self._supersedes(event, known):
            return ()
        content = _Content(revision=event.revision, numbers=known.numbers if known is not None else {})
        self._contents[event.content_id] = content
        wanted = set(event.fingerprints) if event.state is ContentState.ACTIVE else set()
        self._drop(content, [one for one in content.numbers if one not in wanted])
        fresh = [one for one in dict.fromkeys(event.fingerprints) if one in wanted and one not in content.numbers]
        return self._enter(event.content_id, content, offset, fresh, traceparent)

    def apply_tombstone(self, content_id: UUID) -> None:
        """A bare tombstone means withdrawn, for good: what was withdrawn never comes back."""
        known = self._contents.get(content_id)
        if known is not None:
            self._drop(known, list(known.numbers))
        self._contents[content_id] = _Content(revision=None)

    def apply_unreadable(self, content_id: UUID) -> None:
        """An event nobody here can read may be a withdrawal: the content does not match until a readable one comes."""
        known = self._contents.get(content_id)
        if known is not None:
            self._drop(known, list(known.numbers))

    def _supersedes(self, event: ContentChanged, known: _Content | None) -> bool:
        return known is None or (known.revision is not None and event.revision > known.revision)

    def _drop(self, content: _Content, gone: Iterable[RegisteredFingerprint]) -> None:
        for one in gone:
            entry = self._entries.pop(content.numbers.pop(one))
            self._table.remove(entry.number, entry.fingerprint)

    def _enter(
        self,
        content_id: UUID,
        content: _Content,
        offset: int,
        fingerprints: Sequence[RegisteredFingerprint],
        traceparent: str | None,
    ) -> tuple[Entry, ...]:
        entries = []
        for one in fingerprints:
            try:
                fingerprint = parse_fingerprint(one.algorithm, one.value, one.quality, orientation=one.orientation)
            except BadFingerprint:
                self.refused += 1  # a degenerate value would agree with unrelated media
                continue
            entry = Entry(
                number=self._next_number,
                content_id=content_id,
                offset=offset,
                fingerprint=fingerprint,
                assurance=one.assurance,
                max_distance=fingerprint.algorithm.max_distance if one.max_distance is None else one.max_distance,
                traceparent=traceparent,
            )
            self._next_number += 1
            content.numbers[one] = entry.number
            self._entries[entry.number] = entry
            entries.append(entry)
        self._table.add((entry.number, entry.fingerprint) for entry in entries)
        return tuple(entries)

    # What is asked of it

    def search(self, wanted: Sequence[Fingerprint]) -> list[Hit]:
        return self._table.search(wanted)

    def search_values(self, algorithm: Algorithm, values: Hashes) -> Hits:
        """As `FingerprintTable.search_values`."""
        return self._table.search_values(algorithm, values)

    def entry(self, number: int) -> Entry:
        """Raises KeyError."""
        return self._entries[number]

    def entries_from(self, offset: int) -> tuple[Entry, ...]:
        """Every entry brought at `offset` or later, whether just applied or long ago, in order."""
        found = []
        for entry in reversed(self._entries.values()):
            if entry.offset < offset:
                break
            found.append(entry)
        return tuple(reversed(found))

    def holds(self, entry: Entry) -> bool:
        """The content is active here and still has this fingerprint, as it was."""
        return entry.number in self._entries

    def revision_of(self, content_id: UUID) -> int:
        """The revision applied last. Raises KeyError for content never met; 0 once tombstoned."""
        return self._contents[content_id].revision or 0

    def sizes(self) -> dict[Algorithm, int]:
        return self._table.sizes()

    def too_old(self, now: datetime) -> bool:
        """It was last at the log's end too long ago to be caught up: a tombstone may have come and gone since."""
        return now - self.at_end_at > MAX_AGE
