"""What a tiered table is made of (`merging_index.py`): values that never change, so that a search may go on in what a change has replaced.

A frozen part says of each slot whether it is still there; of a head, which is only ever appended to, a view says how much of it counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from services.matcher.index.protocol import Hashes, Numbers

Bits = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCounts:
    """Since the table was made, or read from a file. `queries`: values looked up; `candidates`: values of frozen parts that were compared;
    `scans`: queries that a crowded bucket made answer by comparing all of a part."""

    queries: int = 0
    candidates: int = 0
    scans: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """`head_entries`: those not frozen yet; `nbytes` of memory, mapped files among them; `merges` done, with their `merge_seconds` by the
    clock, and `counts` since the table was made, or read from a file."""

    head_entries: int
    nbytes: int
    merges: int
    merge_seconds: float
    counts: SearchCounts


UNMEASURED = Measures(head_entries=0, nbytes=0, merges=0, merge_seconds=0.0, counts=SearchCounts())


class Content(Protocol):
    """The searchable values of a part, by slot."""

    @property
    def nbytes(self) -> int: ...


ContentT = TypeVar("ContentT", bound=Content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Generic[ContentT]):
    """Frozen values. `ids` int64[n] rises with the slot; bit s of `alive` (lowest first) says whether slot s is still there."""

    ids: Numbers
    alive: Bits
    removed: int
    content: ContentT

    def __len__(self) -> int:
        return len(self.ids) - self.removed

    @property
    def nbytes(self) -> int:
        return self.ids.nbytes + self.alive.nbytes + self.content.nbytes

    def slots_of(self, ids: Numbers) -> Numbers:
        """Of those that are there, in no order of `ids`."""
        if not len(self.ids):
            return np.empty(0, dtype=np.int64)
        slots: Numbers = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        there: Mask = (self.ids[slots] == ids) & ((self.alive[slots >> 3] >> (slots & 7)) & 1 == 1)
        return slots[there]

    def without(self, slots: Numbers) -> Part[ContentT]:
        """Each slot is there, and named once."""
        alive = self.alive.copy()
        np.bitwise_and.at(alive, slots >> 3, ~(np.uint8(1) << (slots & 7).astype(np.uint8)))
        return replace(self, alive=alive, removed=self.removed + len(slots))

    def living(self) -> Mask:
        """bool[n], by slot."""
        return np.unpackbits(self.alive, count=len(self.ids), bitorder="little").astype(np.bool_)


def all_alive(count: int) -> Bits:
    return np.full((count + 7) // 8, 255, dtype=np.uint8)


class Head:
    """What came last, in order of arrival. Only ever appended to; rows below a count that was seen never change."""

    def __init__(self, value_bytes: int) -> None:
        self.ids: Numbers = np.empty(64, dtype=np.int64)
        self.values: Hashes = np.empty((64, value_bytes), dtype=np.uint8)
        self.rows: dict[int, int] = {}
        """Of what is there: id -> row. For the writer alone."""

    def append(self, count: int, ids: Numbers, values: Hashes) -> None:
        """After the first `count` rows."""
        end = count + len(ids)
        if end > len(self.ids):
            capacity = max(end, 2 * len(self.ids))
            self.ids = _moved(self.ids, count, capacity)
            self.values = _moved(self.values, count, capacity)
        self.ids[count:end] = ids
        self.values[count:end] = values
        self.rows.update(zip(ids.tolist(), range(count, end), strict=True))

    @property
    def nbytes(self) -> int:
        return self.ids.nbytes + self.values.nbytes + 100 * len(self.rows)  # a dict's entry with its two numbers


ArrayT = TypeVar("ArrayT", bound=npt.NDArray[np.generic])


def _moved(array: ArrayT, count: int, capacity: int) -> ArrayT:
    larger = np.empty((capacity, *array.shape[1:]), dtype=array.dtype)
    larger[:count] = array[:count]
    return larger  # type: ignore[return-value]  # the same type of array, which numpy's stubs can not say


HeadT = TypeVar("HeadT", bound=Head)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadView(Generic[HeadT]):
    """The first `count` rows of a head but for the `removed` ones that `marks` (bool, at least `count`) marks. Never changed."""

    head: HeadT
    count: int
    marks: Mask
    removed: int = 0

    def __len__(self) -> int:
        return self.count - self.removed

    @property
    def gone(self) -> Mask:
        """bool[count]"""
        return self.marks[: self.count]

    def entries(self) -> tuple[Numbers, Hashes]:
        there = ~self.gone
        return self.head.ids[: self.count][there], self.head.values[: self.count][there]

    def longer(self, count: int) -> HeadView[HeadT]:
        """`count` rows have been appended."""
        end = self.count + count
        marks = self.marks
        if end > len(marks):
            marks = np.zeros(max(end, 2 * len(marks)), dtype=np.bool_)
            marks[: self.count] = self.gone
        return replace(self, count=end, marks=marks)

    def without(self, rows: Sequence[int]) -> HeadView[HeadT]:
        marks = self.marks.copy()  # a search may be under way in the old one
        marks[list(rows)] = True
        return replace(self, marks=marks, removed=self.removed + len(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Generic[ContentT, HeadT]):
    """`sealed`: the head that a merge is taking in."""

    parts: tuple[Part[ContentT], ...]
    sealed: HeadView[HeadT] | None
    head: HeadView[HeadT]

    def heads(self) -> tuple[HeadView[HeadT], ...]:
        return (self.head,) if self.sealed is None else (self.sealed, self.head)

    def __len__(self) -> int:
        return sum(map(len, self.parts)) + sum(map(len, self.heads()))
