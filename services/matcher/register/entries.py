"""The register's entries as columns: a row for each fingerprint of active content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from services.matcher.index.growable_array import Growing
from services.matcher.register.contents import NONE
from services.matcher.sightings.columns import (
    ALGORITHM_CODES,
    ALGORITHMS,
    ORIENTATION_CODES,
    ORIENTATIONS,
    UNKNOWN_QUALITY,
    VALUE_BYTES,
)
from shared.contracts.content import Assurance, RegisteredFingerprint
from shared.media.fingerprints import Algorithm, Fingerprint, Origin

ASSURANCES = (Assurance.VIEWED_WITH_SUBJECT, Assurance.VIEWED, Assurance.PARTNER, Assurance.UNSEEN)
ORIGINS = (Origin.ORIGINAL, Origin.VARIANT)
"""Stored as their places here: new words go to the end."""
_ASSURANCE_CODES: Mapping[str, int] = {one: code for code, one in enumerate(ASSURANCES)}
_ORIGIN_CODES: Mapping[str, int] = {one: code for code, one in enumerate(ORIGINS)}
ITS_OWN = -(1 << 31)
"""As `max_distance`: the algorithm's own."""
_FAR = 1 << 16

Array = npt.NDArray[Any]

ENTRY_COLUMNS: Mapping[str, tuple[npt.DTypeLike, int | None]] = {
    "number": (np.int64, None),
    "offset": (np.int64, None),
    "content": (np.int32, None),
    "following": (np.int32, None),
    "trace": (np.int32, None),
    "max_distance": (np.int32, None),
    "algorithm": (np.uint8, None),
    "quality": (np.int8, None),
    "orientation": (np.uint8, None),
    "origin": (np.uint8, None),
    "assurance": (np.uint8, None),
    "value": (np.uint8, VALUE_BYTES),
}
"""`content`: the row of its content; `following`: the next row of the same content; `trace`: which of the traceparents."""


def own_distance(one: RegisteredFingerprint) -> int | None:
    """Its `max_distance` as it is kept: what is out of all proportion says no more than what is next to it."""
    return None if one.max_distance is None else max(-1, min(one.max_distance, _FAR))


class Row(NamedTuple):
    """What is asked of an entry's row."""

    number: int
    offset: int
    content: int
    fingerprint: Fingerprint
    assurance: Assurance
    max_distance: int
    traceparent: str | None


class Entries:
    """The entries, in order of number and offset. What is added is in no column before `settle`, which takes all at once.

    A dropped one leaves its row dead until there are many (`tidied`).
    """

    def __init__(self) -> None:
        self._columns = {name: Growing(*kind) for name, kind in ENTRY_COLUMNS.items()}
        self._alive = Growing(np.bool_)
        self._trace_end = Growing(np.int64)
        self._traces = bytearray()
        self._new: list[tuple[Any, ...]] = []
        self._new_trace_ends: list[int] = []
        self.living = 0
        self.counts = dict.fromkeys(ALGORITHMS, 0)
        """The living of each algorithm."""

    def __len__(self) -> int:
        return self._alive.count + len(self._new)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        arrays = sum(column.array.nbytes for column in self._columns.values())
        return arrays + self._alive.array.nbytes + self._trace_end.array.nbytes + len(self._traces)

    # Adding

    def add_trace(self, traceparent: str | None) -> int:
        if traceparent is None:
            return NONE
        self._traces += traceparent.encode()
        self._new_trace_ends.append(len(self._traces))
        return self._trace_end.count + len(self._new_trace_ends) - 1

    def add(
        self,
        number: int,
        offset: int,
        content: int,
        trace: int,
        given: Sequence[tuple[RegisteredFingerprint, Fingerprint]],
    ) -> range:
        """Entries of one content, numbered from `number`, each followed by the next; their rows."""
        first, last = len(self), len(given) - 1
        for place, (one, fingerprint) in enumerate(given):
            algorithm, quality, own = fingerprint.algorithm, fingerprint.quality, own_distance(one)
            self._new.append(
                (
                    number + place,
                    offset,
                    content,
                    first + place + 1 if place < last else NONE,
                    trace,
                    ITS_OWN if own is None else own,
                    ALGORITHM_CODES[algorithm],
                    UNKNOWN_QUALITY if quality is None else quality,
                    ORIENTATION_CODES[fingerprint.orientation],
                    _ORIGIN_CODES[one.origin],
                    _ASSURANCE_CODES[one.assurance],
                    fingerprint.value.ljust(VALUE_BYTES, b"\0"),
                )
            )
            self.counts[algorithm] += 1
        self.living += len(given)
        return range(first, first + len(given))

    def settle(self) -> None:
        """Put what was added in the columns."""
        if self._new:
            count, columns = len(self._new), list(zip(*self._new, strict=True))
            self._new = []
            values = columns.pop()
            for name, column in zip(ENTRY_COLUMNS, columns, strict=False):
                self._columns[name].extend(column)
            self._columns["value"].extend(np.frombuffer(b"".join(values), dtype=np.uint8).reshape(-1, VALUE_BYTES))
            self._alive.extend(np.ones(count, dtype=np.bool_))
        if self._new_trace_ends:
            self._trace_end.extend(self._new_trace_ends)
            self._new_trace_ends = []

    @property
    def room(self) -> int:
        """How many more can be added without a column being moved."""
        return min(self._alive.room, *(column.room for column in self._columns.values()))

    def make_room(self, count: int) -> None:
        """Copies it all, where there is too little."""
        for column in (*self._columns.values(), self._alive):
            column.make_room(count)

    # Changing

    def kill(self, rows: Sequence[int]) -> Iterator[tuple[Algorithm, Array]]:
        """Drop these rows; gives (algorithm, numbers int64[n]) of them."""
        dead = np.array(rows, dtype=np.int64)
        self._alive.array[dead] = False
        self._columns["value"].array[dead] = 0  # what left the register is not kept in memory either
        self.living -= len(rows)
        codes, numbers = (self._columns[name].array[dead] for name in ("algorithm", "number"))
        for code in np.unique(codes).tolist():
            of_code = numbers[codes == code]
            self.counts[ALGORITHMS[code]] -= len(of_code)
            yield ALGORITHMS[code], of_code

    def link(self, row: int, following: int) -> None:
        self._columns["following"].array[row] = following

    # What is there

    def row_of(self, number: int) -> int | None:
        """Of what is there."""
        row = self.row_from(number)
        numbers = self._columns["number"].view()
        return row if row < len(numbers) and numbers[row] == number and self._alive.array[row] else None

    def row_from(self, number: int) -> int:
        """The first row with this number or a higher one."""
        return int(self._columns["number"].view().searchsorted(number))

    def rows_of(self, numbers: Array) -> Array:
        """Of those that are there, in their order."""
        # Grown last, and asked first: each column has so many, also when they grow beside this.
        count = self._alive.count
        known = self._columns["number"].array[:count]
        rows = np.minimum(known.searchsorted(numbers), max(0, count - 1))
        return rows[(known[rows] == numbers) & self._alive.array[rows]] if count else rows[:0]

    def numbers_from(self, offset: int) -> Array:
        """int64, rising: of what is there, brought at `offset` or later."""
        start = int(self._columns["offset"].view().searchsorted(offset))
        found: Array = self._columns["number"].view()[start:][self._alive.view()[start:]]
        return found

    def chain(self, row: int) -> Iterator[int]:
        """This row and those that follow it in its content."""
        while row != NONE:
            following = int(self._columns["following"].array[row])
            yield row
            row = following

    def at(self, row: int) -> Row:
        return self.at_many(np.array([row]))[0]

    def at_many(self, rows: Array) -> list[Row]:
        taken = {name: column.array[rows] for name, column in self._columns.items()}
        raw = taken.pop("value").tobytes()
        lists = {name: column.tolist() for name, column in taken.items()}
        found = []
        for place, (code, quality, turned, own, trace) in enumerate(
            zip(*(lists[name] for name in _TRANSLATED), strict=True)
        ):
            algorithm = ALGORITHMS[code]
            fingerprint = Fingerprint(
                algorithm=algorithm,
                value=raw[VALUE_BYTES * place : VALUE_BYTES * place + algorithm.size_bytes],
                quality=None if quality == UNKNOWN_QUALITY else quality,
                orientation=ORIENTATIONS[turned],
            )
            found.append(
                Row(
                    number=lists["number"][place],
                    offset=lists["offset"][place],
                    content=lists["content"][place],
                    fingerprint=fingerprint,
                    assurance=ASSURANCES[lists["assurance"][place]],
                    max_distance=algorithm.max_distance if own == ITS_OWN else own,
                    traceparent=None if trace == NONE else self._trace(trace),
                )
            )
        return found

    def _trace(self, trace: int) -> str:
        start = int(self._trace_end.array[trace - 1]) if trace else 0
        return self._traces[start : int(self._trace_end.array[trace])].decode()

    def as_registered(self, row: int) -> RegisteredFingerprint:
        """The fingerprint of a row, as the content event had it."""
        there = self.at(row)
        columns = self._columns
        own = int(columns["max_distance"].array[row])
        return RegisteredFingerprint(
            algorithm=there.fingerprint.algorithm.value,
            value=there.fingerprint.hex,
            quality=there.fingerprint.quality,
            origin=ORIGINS[columns["origin"].array[row]].value,
            orientation=there.fingerprint.orientation.value,
            assurance=there.assurance,
            max_distance=None if own == ITS_OWN else own,
        )

    def values(self, start: int = 0) -> Iterator[tuple[Algorithm, Array, Array]]:
        """(algorithm, numbers int64[n], values uint8[n, size]) of what is there from row `start`."""
        codes, alive = self._columns["algorithm"].view()[start:], self._alive.view()[start:]
        for code, algorithm in enumerate(ALGORITHMS):
            rows = np.flatnonzero(alive & (codes == code)) + start
            if len(rows):
                values = self._columns["value"].view()[rows, : algorithm.size_bytes]
                yield algorithm, self._columns["number"].view()[rows], np.ascontiguousarray(values)

    # As a whole

    def arrays(self) -> dict[str, Array]:
        """The columns as they are now, whatever comes later, dropped rows among them. What never changes is not copied."""
        arrays = {name: column.view() for name, column in self._columns.items()}
        arrays["value"] = arrays["value"].copy()
        arrays["following"] = arrays["following"].copy()
        arrays["alive"] = self._alive.view().copy()
        arrays["trace_end"] = self._trace_end.view()
        arrays["traces"] = np.frombuffer(bytes(self._traces), dtype=np.uint8)
        return arrays

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> Entries:
        """Of what `tidied` gives."""
        entries = cls()
        for name, column in entries._columns.items():
            column.extend(arrays[name])
        entries._trace_end.extend(arrays["trace_end"])
        entries._traces = bytearray(arrays["traces"].tobytes())
        entries.living = len(arrays["number"])
        entries._alive.extend(np.ones(entries.living, dtype=np.bool_))
        counts = np.bincount(arrays["algorithm"], minlength=len(ALGORITHMS)).tolist()
        entries.counts = dict(zip(ALGORITHMS, counts, strict=True))
        return entries


_TRANSLATED = ("algorithm", "quality", "orientation", "max_distance", "trace")


def tidied(entries: Mapping[str, Array], firsts: Array) -> tuple[dict[str, Array], Array]:
    """Both without the dead rows: nothing of what was dropped is left. `firsts`: rows, as `Contents` has them."""
    alive = entries["alive"]
    if alive.all():
        return {name: array for name, array in entries.items() if name != "alive"}, firsts
    rows = np.flatnonzero(alive)
    place = np.full(len(alive) + 1, NONE, dtype=np.int32)  # the last one is where NONE leads
    place[rows] = np.arange(len(rows), dtype=np.int32)
    kept = {name: entries[name][rows] for name in ENTRY_COLUMNS}
    kept["following"] = place[kept["following"]]
    lengths = np.diff(entries["trace_end"], prepend=0)
    wanted = np.zeros(len(lengths) + 1, dtype=np.bool_)
    wanted[kept["trace"]] = True
    wanted[NONE] = False
    new = np.full(len(wanted), NONE, dtype=np.int32)
    new[wanted] = np.arange(np.count_nonzero(wanted), dtype=np.int32)
    kept["trace"] = new[kept["trace"]]
    kept["traces"] = entries["traces"][np.repeat(wanted[:-1], lengths)]
    kept["trace_end"] = np.cumsum(lengths[wanted[:-1]], dtype=np.int64)
    return kept, place[firsts]
