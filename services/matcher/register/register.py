"""The register: all active content, as numbered fingerprints that can be searched. Built from `takedown.content` alone.

Only a higher revision is applied. What was suspended, withdrawn or tombstoned stays remembered by its revision, so that an older
event that comes late cannot bring it back; its fingerprints do not stay.

What takes long with millions (`index`, `upkeep`, `freeze`) is apart from `apply`, so that it can be done beside an event loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import overload
from uuid import UUID

import numpy as np

from services.matcher.index.fingerprint_index import FingerprintTable
from services.matcher.index.merging_parts import Measures
from services.matcher.register.contents import BURIED, NONE, Array, Contents
from services.matcher.register.entries import Entries, own_distance, tidied
from services.matcher.register.negative_list import NegativeList
from services.matcher.register.view import RegisterView, ViewEntry
from shared.contracts.content import ContentChanged, ContentState, NegativeEntry, RegisteredFingerprint
from shared.media.fingerprints import Algorithm, BadFingerprint, Fingerprint, parse_fingerprint

_TIDIED_FROM = 1_024
"""Dropped entries leave their rows until there are so many, and more than those that are there."""
_ROOM = 16_384
"""Entries that can be applied before `upkeep_due` has to be asked again: a few records of the largest size."""
FEW = 4_096
"""Entries that the index takes in a few milliseconds. More are frozen at once, which takes about a microsecond each."""
MAX_AGE = timedelta(days=60)
"""A register further behind may have missed a tombstone: `delete.retention.ms` is 90 days."""


class Register:
    """`position`: everything of the content log below it is applied. `at_end_at`: when it was last known to be at the log's end.

    `changes`: how often what it holds has changed; with `position` it tells whether a file of it is still the same.
    Not to be used by two threads at once, but for `contains`, `revision_of` and `entries_from`, and for a `view` that was taken, which may
    be asked beside anything.
    """

    def __init__(self, *, log_id: str, started_at: datetime) -> None:
        self.log_id = log_id
        self.position = 0
        self.at_end_at = started_at
        self.refused = 0
        """Fingerprints that could not be used: malformed or degenerate, and never to be matched."""
        self.negative_list = NegativeList()
        self.changes = 0
        self.turnover = 0
        """Entries that came or went, ever."""
        self._table = FingerprintTable()
        self._contents = Contents()
        self._entries = Entries()  # numbers rise with offsets, so this is in order of both
        self._next_number = 0
        self._indexed_below = 0
        """Entries of lower numbers are in the table."""
        self._gathering = False

    # What the log says

    @contextmanager
    def gathering(self) -> Iterator[None]:
        """Apply many events at once: what is applied within is taken in at its end, which is many times cheaper. Nothing else may be asked
        meanwhile."""
        self._gathering = True
        try:
            yield
        finally:
            self._gathering = False
            self._settle()

    def _settle(self) -> None:
        self._entries.settle()
        self._contents.settle()

    def apply(self, offset: int, event: ContentChanged, *, traceparent: str | None = None) -> tuple[ViewEntry, ...]:
        """Take in an event; the entries that are new, or not as they were, and so must meet the histories."""
        row = self._row_of(event.content_id)
        if not self._supersedes(event, None if row is None else self._contents.revision(row)):
            return ()
        wanted = dict.fromkeys(event.fingerprints) if event.state is ContentState.ACTIVE else {}
        if row is None:
            entries, rows = self._enter(len(self._contents), event.content_id, offset, tuple(wanted), traceparent)
            self._contents.note_new(event.content_id, event.revision, rows[0] if rows else NONE)
            self.changes += 1
        else:
            entries = self._change(row, offset, event, wanted, traceparent)
        if not self._gathering:
            self._settle()
        return entries

    def _change(
        self,
        content: int,
        offset: int,
        event: ContentChanged,
        wanted: Mapping[RegisteredFingerprint, None],
        traceparent: str | None,
    ) -> tuple[ViewEntry, ...]:
        self._contents.set_revision(content, event.revision)
        here = {self._entries.as_registered(one): one for one in self._rows_of(content)}
        self._drop([row for one, row in here.items() if one not in wanted])
        kept = [row for one, row in here.items() if one in wanted]
        new = [one for one in wanted if one not in here]
        entries, rows = self._enter(content, event.content_id, offset, new, traceparent)
        self._settle()
        self._chain(content, [*kept, *rows])
        return entries

    def apply_tombstone(self, content_id: UUID) -> None:
        """A bare tombstone means withdrawn, for good: what was withdrawn never comes back."""
        row = self._row_of(content_id)
        if row is None:
            self._contents.note_new(content_id, BURIED, NONE)
            self.changes += 1
        else:
            self._contents.set_revision(row, BURIED)
            self._drop_all(row)
        if not self._gathering:
            self._settle()

    def apply_unreadable(self, content_id: UUID) -> None:
        """An event nobody here can read may be a withdrawal: the content does not match until a readable one comes."""
        row = self._row_of(content_id)
        if row is not None:
            self._drop_all(row)

    def _row_of(self, content_id: UUID) -> int | None:
        """Its row, and what is gathered in the columns, should the content be in it."""
        row = self._contents.row_of(content_id)
        if row is not None:
            self._settle()
        return row

    def _supersedes(self, event: ContentChanged, known: int | None) -> bool:
        """`known`: the revision applied last, None for content never met."""
        return known is None or (known != BURIED and event.revision > known)

    def _rows_of(self, content: int) -> list[int]:
        return list(self._entries.chain(self._contents.first(content)))

    def _drop_all(self, content: int) -> None:
        self._drop(self._rows_of(content))
        self._chain(content, [])

    def _drop(self, rows: Sequence[int]) -> None:
        for algorithm, numbers in self._entries.kill(rows):
            self._table.remove_many(algorithm, numbers)
        self.turnover += len(rows)

    def _chain(self, content: int, rows: Sequence[int]) -> None:
        """These are the content's entries now."""
        for place, row in enumerate(rows):
            self._entries.link(row, rows[place + 1] if place + 1 < len(rows) else NONE)
        self._contents.set_first(content, rows[0] if rows else NONE)
        self.changes += 1

    def _enter(
        self,
        content: int,
        content_id: UUID,
        offset: int,
        fingerprints: Sequence[RegisteredFingerprint],
        traceparent: str | None,
    ) -> tuple[tuple[ViewEntry, ...], range]:
        """The new entries, and their rows."""
        usable = list(self._usable(fingerprints))
        trace = self._entries.add_trace(traceparent) if usable else NONE
        number, self._next_number = self._next_number, self._next_number + len(usable)
        self.turnover += len(usable)
        rows = self._entries.add(number, offset, content, trace, usable)
        entries = tuple(
            ViewEntry(
                number=number + place,
                content_id=content_id,
                offset=offset,
                fingerprint=fingerprint,
                assurance=one.assurance,
                max_distance=fingerprint.algorithm.max_distance if own is None else own,
                traceparent=traceparent,
            )
            for place, (one, fingerprint) in enumerate(usable)
            for own in (own_distance(one),)
        )
        return entries, rows

    def _usable(
        self, fingerprints: Iterable[RegisteredFingerprint]
    ) -> Iterator[tuple[RegisteredFingerprint, Fingerprint]]:
        for one in fingerprints:
            try:
                yield one, parse_fingerprint(one.algorithm, one.value, one.quality, orientation=one.orientation)
            except BadFingerprint:
                self.refused += 1  # a degenerate value would agree with unrelated media

    # What is asked of it

    @property
    def unindexed(self) -> int:
        """Entries, or a few more, that the next `view` puts into the index first."""
        return self._next_number - self._indexed_below

    def index(self) -> None:
        """Put into the index what was taken in. Every `view` does that; where nothing may wait, have more than `FEW` done elsewhere."""
        if not self.unindexed:
            return
        for algorithm, numbers, values in self._entries.values(self._entries.row_from(self._indexed_below)):
            if len(numbers) > FEW:
                self._table.add_values(algorithm, numbers, values)
            else:
                fingerprints = (Fingerprint(algorithm=algorithm, value=value.tobytes()) for value in values)
                self._table.add(zip(numbers.tolist(), fingerprints, strict=True))
        self._indexed_below = self._next_number

    def view(self) -> RegisterView:
        """A view for searching, with everything that was applied until now: see `RegisterView`."""
        self.index()
        return RegisterView(table=self._table, entries=self.entries)

    def entry(self, number: int) -> ViewEntry:
        """The entry of this number. Raises KeyError."""
        found = self.entries([number])
        if not found:
            raise KeyError(number)
        return found[0]

    def entries(self, numbers: Sequence[int] | Array) -> list[ViewEntry]:
        """Those of these numbers that are there, in their order."""
        entries = self._entries  # one of them throughout, whatever `upkeep` exchanges
        there = entries.at_many(entries.rows_of(np.asarray(numbers, dtype=np.int64)))
        ids = self._contents.content_ids(np.array([one.content for one in there], dtype=np.int64))
        return [
            ViewEntry(
                number=one.number,
                content_id=content_id,
                offset=one.offset,
                fingerprint=one.fingerprint,
                assurance=one.assurance,
                max_distance=one.max_distance,
                traceparent=one.traceparent,
            )
            for one, content_id in zip(there, ids, strict=True)
        ]

    def entries_from(self, offset: int) -> LaterEntries:
        """Every entry brought at `offset` or later, whether just applied or long ago, in order."""
        return LaterEntries(self, self._entries.numbers_from(offset).copy())

    def contains(self, entry: ViewEntry) -> bool:
        """Whether the content is active here and still has this fingerprint, as it was."""
        return self._entries.row_of(entry.number) is not None

    def revision_of(self, content_id: UUID) -> int:
        """The revision applied last. Raises KeyError for content never met; 0 once tombstoned."""
        row = self._contents.row_of(content_id)
        if row is None:
            raise KeyError(content_id)
        return max(0, self._contents.revision(row))

    def sizes(self) -> dict[Algorithm, int]:
        return dict(self._entries.counts)

    @property
    def rows(self) -> int:
        """What `upkeep` and `freeze` copy: rows of entries, the dropped among them, and of contents."""
        return len(self._entries) + len(self._contents)

    @property
    def nbytes(self) -> int:
        """Bytes of memory, those that are mapped from files among them."""
        return self._table.nbytes + self._entries.nbytes + self._contents.nbytes

    def measures(self) -> dict[Algorithm, Measures]:
        """Of its index."""
        return self._table.measures()

    def too_old(self, now: datetime) -> bool:
        """Whether it was last at the log's end too long ago to catch up: a tombstone may have come and gone since."""
        return now - self.at_end_at > MAX_AGE

    # Upkeep

    @property
    def upkeep_due(self) -> bool:
        """Whether `upkeep` is due. To be asked before some records are applied, lest they wait for it."""
        hollow = len(self._entries) > 2 * max(self._entries.living, _TIDIED_FROM)
        return hollow or self._entries.room < _ROOM or not self._contents.room_for(_ROOM)

    def upkeep(self) -> None:
        """Free the rows of what was dropped, and make room: copies everything, a tenth of a second for a million."""
        if len(self._entries) > 2 * max(self._entries.living, _TIDIED_FROM):
            entries, firsts = tidied(self._entries.arrays(), self._contents.arrays()["first"])
            fresh, contents = Entries.of(entries), self._contents.with_firsts(firsts)
            self._contents = contents  # rows of contents stay as they are, so either may be seen with the other
            self._entries = fresh
        self._entries.make_room(_ROOM)
        self._contents.make_room(_ROOM)

    # Its file

    def freeze(self) -> FrozenRegister:
        """The register as it is now, whatever comes later."""
        self.index()
        return FrozenRegister(
            log_id=self.log_id,
            position=self.position,
            at_end_at=self.at_end_at,
            next_number=self._next_number,
            entries=self._entries.arrays(),
            contents=self._contents.arrays(),
            negative_list=self.negative_list.entries(),
            table=deepcopy(self._table),
        )

    @classmethod
    def of(cls, frozen: FrozenRegister) -> Register:
        """A register from what was frozen. Without its table the index of all values is built anew: about a second for a million."""
        register = cls(log_id=frozen.log_id, started_at=frozen.at_end_at)
        register.position = frozen.position
        register._next_number = frozen.next_number
        entries, firsts = tidied(frozen.entries, frozen.contents["first"])
        register._entries = Entries.of(entries)
        register._contents = Contents.of({**frozen.contents, "first": firsts})
        if frozen.table is not None:
            register._table, register._indexed_below = frozen.table, frozen.next_number
        else:
            register.index()
        for one in frozen.negative_list:
            register.negative_list.apply(one)
        return register


class LaterEntries(Sequence[ViewEntry]):
    """Entries by their numbers, made values when they are asked for; those that were dropped meanwhile are left out of a slice.

    A slice may so be shorter than its bounds say. Index 3 is the fourth of those that were there at first; it raises KeyError once dropped.
    """

    def __init__(self, register: Register, numbers: Array) -> None:
        self._register = register
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> ViewEntry: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[ViewEntry]: ...
    def __getitem__(self, place: int | slice) -> ViewEntry | Sequence[ViewEntry]:
        if isinstance(place, slice):
            return self._register.entries(self._numbers[place])
        return self._register.entry(int(self._numbers[place]))


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenRegister:
    """A register at one moment. `entries`, `contents`: as `Entries.arrays` and `Contents.arrays`; revisions and withdrawals are kept.

    `table`: the index of exactly these entries, None where it is not at hand.
    """

    log_id: str
    position: int
    at_end_at: datetime
    next_number: int
    entries: Mapping[str, Array]
    contents: Mapping[str, Array]
    negative_list: tuple[NegativeEntry, ...] = ()
    table: FingerprintTable | None = None
