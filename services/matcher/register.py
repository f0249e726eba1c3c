"""The register: all active content, as numbered fingerprints that can be searched. Built from `takedown.content` alone.

Only a higher revision is applied. What was suspended, withdrawn or tombstoned stays remembered by its revision, so that an older
event that comes late cannot bring it back; its fingerprints do not stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.matcher.columns import ALGORITHMS
from services.matcher.fingerprint_table import FingerprintTable, Hit
from services.matcher.index import Hashes, Hits
from services.matcher.negative_list import NegativeList
from services.matcher.register_rows import BURIED, NONE, Array, Contents, Entries, tidied
from shared.contracts.content import Assurance, ContentChanged, ContentState, NegativeEntry, RegisteredFingerprint
from shared.fingerprints import Algorithm, BadFingerprint, Fingerprint, parse_fingerprint

_TIDIED_FROM = 1_024
"""Dropped entries leave their rows until there are so many, and more than those that are there."""
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


class Register:
    """`position`: everything of the content log below it is applied. `at_end_at`: when it was last known to be at the log's end.

    `changes`: how often what it holds has changed; with `position` it tells whether a file of it is still the same.
    """

    def __init__(self, *, log_id: str, started_at: datetime) -> None:
        self.log_id = log_id
        self.position = 0
        self.at_end_at = started_at
        self.refused = 0
        """Fingerprints that could not be used: malformed or degenerate, and never to be matched."""
        self.negative_list = NegativeList()
        self.changes = 0
        self._table = FingerprintTable()
        self._contents = Contents()
        self._entries = Entries()  # numbers rise with offsets, so this is in order of both
        self._next_number = 0

    # What the log says

    def apply(self, offset: int, event: ContentChanged, *, traceparent: str | None = None) -> tuple[Entry, ...]:
        """Take in an event; the entries that are new, or not as they were, and so must meet the histories."""
        row = self._contents.row_of(event.content_id)
        if not self._supersedes(event, None if row is None else self._contents.revision(row)):
            return ()
        content = self._contents.note(event.content_id, event.revision)
        wanted = dict.fromkeys(event.fingerprints) if event.state is ContentState.ACTIVE else {}
        here = {self._entries.as_registered(one): one for one in self._rows_of(content)}
        self._drop([row for one, row in here.items() if one not in wanted])
        kept = [row for one, row in here.items() if one in wanted]
        return self._enter(content, offset, kept, [one for one in wanted if one not in here], traceparent)

    def apply_tombstone(self, content_id: UUID) -> None:
        """A bare tombstone means withdrawn, for good: what was withdrawn never comes back."""
        self._drop_all(self._contents.note(content_id, BURIED))

    def apply_unreadable(self, content_id: UUID) -> None:
        """An event nobody here can read may be a withdrawal: the content does not match until a readable one comes."""
        content = self._contents.row_of(content_id)
        if content is not None:
            self._drop_all(content)

    def _supersedes(self, event: ContentChanged, known: int | None) -> bool:
        """`known`: the revision applied last, None for content never met."""
        return known is None or (known != BURIED and event.revision > known)

    def _rows_of(self, content: int) -> list[int]:
        return list(self._entries.chain(self._contents.first(content)))

    def _drop_all(self, content: int) -> None:
        self._drop(self._rows_of(content))
        self._chain(content, [])

    def _drop(self, rows: Iterable[int]) -> None:
        for row in rows:
            entry = self._entries.at(row)
            self._table.remove(entry.number, entry.fingerprint)
            self._entries.kill(row)

    def _chain(self, content: int, rows: Sequence[int]) -> None:
        """These are the content's entries now."""
        for place, row in enumerate(rows):
            self._entries.link(row, rows[place + 1] if place + 1 < len(rows) else NONE)
        self._contents.set_first(content, rows[0] if rows else NONE)
        self.changes += 1
        if len(self._entries) > 2 * max(self._entries.living, _TIDIED_FROM):
            self._restore(*tidied(self._entries.arrays(), self._contents.arrays()))

    def _enter(
        self,
        content: int,
        offset: int,
        kept: list[int],
        fingerprints: Sequence[RegisteredFingerprint],
        traceparent: str | None,
    ) -> tuple[Entry, ...]:
        usable = list(self._usable(fingerprints))
        trace = self._entries.add_trace(traceparent) if usable else NONE
        rows = []
        for one, fingerprint in usable:
            rows.append(self._entries.add(self._next_number, offset, content, one, fingerprint, trace))
            self._next_number += 1
        entries = tuple(map(self._entry, rows))
        self._table.add((entry.number, entry.fingerprint) for entry in entries)
        self._chain(content, kept + rows)
        return entries

    def _usable(
        self, fingerprints: Iterable[RegisteredFingerprint]
    ) -> Iterator[tuple[RegisteredFingerprint, Fingerprint]]:
        for one in fingerprints:
            try:
                yield one, parse_fingerprint(one.algorithm, one.value, one.quality, orientation=one.orientation)
            except BadFingerprint:
                self.refused += 1  # a degenerate value would agree with unrelated media

    # What is asked of it

    def search(self, wanted: Sequence[Fingerprint]) -> list[Hit]:
        return self._table.search(wanted)

    def search_values(self, algorithm: Algorithm, values: Hashes) -> Hits:
        """As `FingerprintTable.search_values`."""
        return self._table.search_values(algorithm, values)

    def entry(self, number: int) -> Entry:
        """Raises KeyError."""
        row = self._entries.row_of(number)
        if row is None:
            raise KeyError(number)
        return self._entry(row)

    def _entry(self, row: int) -> Entry:
        there = self._entries.at(row)
        return Entry(
            number=there.number,
            content_id=self._contents.content_id(there.content),
            offset=there.offset,
            fingerprint=there.fingerprint,
            assurance=there.assurance,
            max_distance=there.max_distance,
            traceparent=there.traceparent,
        )

    def entries_from(self, offset: int) -> tuple[Entry, ...]:
        """Every entry brought at `offset` or later, whether just applied or long ago, in order."""
        return tuple(map(self._entry, self._entries.rows_from(offset)))

    def holds(self, entry: Entry) -> bool:
        """The content is active here and still has this fingerprint, as it was."""
        return self._entries.row_of(entry.number) is not None

    def revision_of(self, content_id: UUID) -> int:
        """The revision applied last. Raises KeyError for content never met; 0 once tombstoned."""
        row = self._contents.row_of(content_id)
        if row is None:
            raise KeyError(content_id)
        return max(0, self._contents.revision(row))

    def sizes(self) -> dict[Algorithm, int]:
        return self._table.sizes()

    def too_old(self, now: datetime) -> bool:
        """It was last at the log's end too long ago to be caught up: a tombstone may have come and gone since."""
        return now - self.at_end_at > MAX_AGE

    # Its file

    def freeze(self) -> FrozenRegister:
        """It as it is now, whatever comes later."""
        return FrozenRegister(
            log_id=self.log_id,
            position=self.position,
            at_end_at=self.at_end_at,
            next_number=self._next_number,
            entries=self._entries.arrays(),
            contents=self._contents.arrays(),
            negative_list=self.negative_list.entries(),
        )

    @classmethod
    def of(cls, frozen: FrozenRegister) -> Register:
        """What was frozen. Builds the index of all values: about half a second for a million."""
        register = cls(log_id=frozen.log_id, started_at=frozen.at_end_at)
        register.position = frozen.position
        register._next_number = frozen.next_number
        register._restore(*tidied(frozen.entries, frozen.contents))
        for code, numbers, values in register._entries.values():
            register._table.add_values(ALGORITHMS[code], numbers, values)
        for one in frozen.negative_list:
            register.negative_list.apply(one)
        return register

    def _restore(self, entries: Mapping[str, Array], contents: Mapping[str, Array]) -> None:
        self._entries, self._contents = Entries.of(entries), Contents.of(contents)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenRegister:
    """A register at one moment. `entries`, `contents`: as `Entries.arrays` and `Contents.arrays`; revisions and withdrawals are kept."""

    log_id: str
    position: int
    at_end_at: datetime
    next_number: int
    entries: Mapping[str, Array]
    contents: Mapping[str, Array]
    negative_list: tuple[NegativeEntry, ...] = ()
