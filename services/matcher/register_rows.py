"""The register's entries as columns: a row for each fingerprint of active content, and one for each content ever met."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.matcher.columns import (
    ALGORITHM_CODES,
    ALGORITHMS,
    ORIENTATION_CODES,
    ORIENTATIONS,
    UNKNOWN_QUALITY,
    VALUE_BYTES,
)
from services.matcher.growing import Growing
from shared.contracts.content import Assurance, RegisteredFingerprint
from shared.fingerprints import Fingerprint, Origin

ASSURANCES = (Assurance.VIEWED_WITH_SUBJECT, Assurance.VIEWED, Assurance.PARTNER, Assurance.UNSEEN)
ORIGINS = (Origin.ORIGINAL, Origin.VARIANT)
"""Stored as their places here: new words go to the end."""
ITS_OWN = -(1 << 31)
"""As `max_distance`: the algorithm's own."""
_FAR = 1 << 16
BURIED = -1
"""As a revision: only a tombstone was seen, which no revision is above."""
NONE = -1

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
CONTENT_COLUMNS: Mapping[str, tuple[npt.DTypeLike, int | None]] = {
    "content_id": (np.uint8, 16),
    "revision": (np.int64, None),
    "first": (np.int32, None),
}
"""`first`: the first row of its entries."""


class Contents:
    """Every content ever met, by row, with the revision applied last and its entries."""

    def __init__(self) -> None:
        self._columns = {name: Growing(*kind) for name, kind in CONTENT_COLUMNS.items()}
        self._rows: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def row_of(self, content_id: UUID) -> int | None:
        return self._rows.get(content_id.bytes)

    def content_id(self, row: int) -> UUID:
        return UUID(bytes=self._columns["content_id"].array[row].tobytes())

    def revision(self, row: int) -> int:
        return int(self._columns["revision"].array[row])

    def note(self, content_id: UUID, revision: int) -> int:
        """Its row, from now on with this revision."""
        row = self._rows.get(content_id.bytes)
        if row is None:
            row = self._rows[content_id.bytes] = self._columns["revision"].count
            self._columns["content_id"].extend(np.frombuffer(content_id.bytes, dtype=np.uint8).reshape(1, -1))
            self._columns["revision"].extend([revision])
            self._columns["first"].extend([NONE])
        self._columns["revision"].array[row] = revision
        return row

    def first(self, row: int) -> int:
        return int(self._columns["first"].array[row])

    def set_first(self, row: int, entry: int) -> None:
        self._columns["first"].array[row] = entry

    def arrays(self) -> dict[str, Array]:
        """As it is now, whatever comes later."""
        return {name: column.view().copy() for name, column in self._columns.items()}

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> Contents:
        contents = cls()
        for name, column in contents._columns.items():
            column.extend(arrays[name])
        ids = np.ascontiguousarray(arrays["content_id"]).view("V16").reshape(-1).tolist()
        contents._rows = {bytes(one): row for row, one in enumerate(ids)}
        return contents


@dataclass(frozen=True, slots=True)
class Row:
    """What is asked of an entry's row."""

    number: int
    offset: int
    content: int
    fingerprint: Fingerprint
    assurance: Assurance
    max_distance: int
    traceparent: str | None


class Entries:
    """The entries, in order of number and offset. A dropped one leaves its row dead until there are many (`tidy`)."""

    def __init__(self) -> None:
        self._columns = {name: Growing(*kind) for name, kind in ENTRY_COLUMNS.items()}
        self._alive = Growing(np.bool_)
        self._trace_end = Growing(np.int64)
        self._traces = bytearray()
        self.living = 0

    def __len__(self) -> int:
        return self._alive.count

    @property
    def nbytes(self) -> int:
        arrays = sum(column.array.nbytes for column in self._columns.values())
        return arrays + self._alive.array.nbytes + self._trace_end.array.nbytes + len(self._traces)

    def add_trace(self, traceparent: str | None) -> int:
        if traceparent is None:
            return NONE
        self._traces += traceparent.encode()
        self._trace_end.extend([len(self._traces)])
        return self._trace_end.count - 1

    def add(
        self, number: int, offset: int, content: int, one: RegisteredFingerprint, fingerprint: Fingerprint, trace: int
    ) -> int:
        """Its row."""
        columns = self._columns
        value = fingerprint.value.ljust(VALUE_BYTES, b"\0")
        columns["number"].extend([number])
        columns["offset"].extend([offset])
        columns["content"].extend([content])
        columns["following"].extend([NONE])
        columns["trace"].extend([trace])
        columns["max_distance"].extend([ITS_OWN if one.max_distance is None else max(-1, min(one.max_distance, _FAR))])
        columns["algorithm"].extend([ALGORITHM_CODES[fingerprint.algorithm]])
        columns["quality"].extend([UNKNOWN_QUALITY if fingerprint.quality is None else fingerprint.quality])
        columns["orientation"].extend([ORIENTATION_CODES[fingerprint.orientation]])
        columns["origin"].extend([ORIGINS.index(Origin(one.origin))])
        columns["assurance"].extend([ASSURANCES.index(one.assurance)])
        columns["value"].extend(np.frombuffer(value, dtype=np.uint8).reshape(1, -1))
        self._alive.extend([True])
        self.living += 1
        return self._alive.count - 1

    def kill(self, row: int) -> None:
        self._alive.array[row] = False
        self._columns["value"].array[row] = 0  # what left the register is not kept in memory either
        self.living -= 1

    def row_of(self, number: int) -> int | None:
        """Of what is there."""
        numbers = self._columns["number"].view()
        row = int(np.searchsorted(numbers, number))
        return row if row < len(numbers) and numbers[row] == number and self._alive.array[row] else None

    def rows_from(self, offset: int) -> list[int]:
        """Of what is there, brought at `offset` or later."""
        start = int(np.searchsorted(self._columns["offset"].view(), offset))
        found: list[int] = (np.flatnonzero(self._alive.view()[start:]) + start).tolist()
        return found

    def chain(self, row: int) -> Iterator[int]:
        """This row and those that follow it."""
        while row != NONE:
            following = int(self._columns["following"].array[row])
            yield row
            row = following

    def link(self, row: int, following: int) -> None:
        self._columns["following"].array[row] = following

    def at(self, row: int) -> Row:
        columns = {name: column.array[row] for name, column in self._columns.items()}
        algorithm = ALGORITHMS[columns["algorithm"]]
        quality, own, trace = int(columns["quality"]), int(columns["max_distance"]), int(columns["trace"])
        return Row(
            number=int(columns["number"]),
            offset=int(columns["offset"]),
            content=int(columns["content"]),
            fingerprint=Fingerprint(
                algorithm=algorithm,
                value=columns["value"][: algorithm.size_bytes].tobytes(),
                quality=None if quality == UNKNOWN_QUALITY else quality,
                orientation=ORIENTATIONS[columns["orientation"]],
            ),
            assurance=ASSURANCES[columns["assurance"]],
            max_distance=algorithm.max_distance if own == ITS_OWN else own,
            traceparent=None if trace == NONE else self._trace(trace),
        )

    def _trace(self, trace: int) -> str:
        start = int(self._trace_end.array[trace - 1]) if trace else 0
        return self._traces[start : int(self._trace_end.array[trace])].decode()

    def as_registered(self, row: int) -> RegisteredFingerprint:
        """As the content event had it."""
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

    # As a whole

    def arrays(self) -> dict[str, Array]:
        """As it is now, whatever comes later, the dead left in. Cheap: what never changes is not copied."""
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
        return entries

    def values(self) -> Iterator[tuple[int, Array, Array]]:
        """(code of the algorithm, numbers, values) of what is there."""
        codes = self._columns["algorithm"].view()
        for code, algorithm in enumerate(ALGORITHMS):
            rows = np.flatnonzero(self._alive.view() & (codes == code))
            if len(rows):
                values = self._columns["value"].view()[rows, : algorithm.size_bytes]
                yield code, self._columns["number"].view()[rows], np.ascontiguousarray(values)


def tidied(entries: Mapping[str, Array], contents: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """The same without the dead rows: nothing of what was dropped is left in it."""
    alive = entries["alive"]
    rows = np.flatnonzero(alive)
    place = np.full(len(alive) + 1, NONE, dtype=np.int32)  # the last one is where NONE leads
    place[rows] = np.arange(len(rows), dtype=np.int32)
    kept = {name: entries[name][rows] for name in ENTRY_COLUMNS}
    kept["following"] = place[kept["following"]]
    lengths = np.diff(entries["trace_end"], prepend=0)
    used = np.unique(kept["trace"])
    used = used[used != NONE]
    new = np.full(len(lengths) + 1, NONE, dtype=np.int32)
    new[used] = np.arange(len(used), dtype=np.int32)
    kept["trace"] = new[kept["trace"]]
    wanted = np.zeros(len(lengths), dtype=np.bool_)
    wanted[used] = True
    kept["traces"] = entries["traces"][np.repeat(wanted, lengths)]
    kept["trace_end"] = np.cumsum(lengths[wanted], dtype=np.int64)
    return kept, {**contents, "first": place[contents["first"]]}
