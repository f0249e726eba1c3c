"""Exact PDQ search by comparing everything with everything: numpy, four 64-bit words a value, no cleverness."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from services.matcher.index.array_file import BadIndexFile, StoredIndex, read_stored, write_stored
from services.matcher.index.protocol import (
    MAX_DISTANCE,
    VALUE_BYTES,
    AlreadyIndexed,
    Hashes,
    Hits,
    Numbers,
    as_hashes,
)

_WORDS = VALUE_BYTES // 8
_KIND = "reference"
_BLOCK = 4_000_000
"""Pairs compared at once: bounds a query's memory to about 50 MB."""


class BruteForceIndex:
    """A `PdqIndex`. Add and remove are O(1) amortised; a query of n values is O(n x size)."""

    def __init__(self, max_distance: int = MAX_DISTANCE) -> None:
        if not 0 <= max_distance <= MAX_DISTANCE:
            raise ValueError(f"a distance of {max_distance} is not within 0 to {MAX_DISTANCE}")
        self.max_distance = max_distance
        self._words: npt.NDArray[np.uint64] = np.empty(
            (_WORDS, 64), dtype=np.uint64
        )  # [word, row]: each word contiguous
        self._ids: Numbers = np.empty(64, dtype=np.int64)
        self._rows: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def nbytes(self) -> int:
        return self._words.nbytes + self._ids.nbytes + 100 * len(self._rows)  # a dict's entry with its two numbers

    def add(self, id: int, value: bytes) -> None:
        if len(value) != VALUE_BYTES:
            raise ValueError(f"a PDQ value has {VALUE_BYTES} bytes, not {len(value)}")
        self.add_many(np.array([id], dtype=np.int64), as_hashes([value]))

    def add_many(self, ids: Numbers, values: Hashes) -> None:
        words = _as_words(values)
        if ids.shape != (len(values),):
            raise ValueError(f"{ids.shape} ids for {len(values)} values")
        numbers: list[int] = ids.tolist()
        if len(set(numbers)) != len(numbers) or not self._rows.keys().isdisjoint(numbers):
            raise AlreadyIndexed("an id is present already")
        start, end = len(self._rows), len(self._rows) + len(numbers)
        self._grow(end)
        self._words[:, start:end] = words.T
        self._ids[start:end] = ids
        self._rows.update(zip(numbers, range(start, end), strict=True))

    def remove(self, id: int) -> bool:
        row = self._rows.pop(id, None)
        if row is None:
            return False
        last = len(self._rows)
        if row != last:
            self._words[:, row] = self._words[:, last]
            moved = int(self._ids[last])
            self._ids[row] = moved
            self._rows[moved] = row
        return True

    def remove_many(self, ids: Numbers) -> int:
        return sum(self.remove(id) for id in ids.tolist())

    def query(self, values: Hashes) -> Hits:
        wanted = _as_words(values)
        size = len(self._rows)
        found: list[Hits] = []
        if size:
            step = max(1, _BLOCK // size)
            found = [self._compare(wanted[start : start + step], start, size) for start in range(0, len(wanted), step)]
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8)
        rows, ids, distances = zip(*found, strict=True)
        return np.concatenate(rows), np.concatenate(ids), np.concatenate(distances)

    def save(self, path: Path) -> None:
        size = len(self._rows)
        arrays = {"ids": self._ids[:size], "values": self._words[:, :size].T}
        write_stored(path, StoredIndex(kind=_KIND, words=(), arrays=arrays))

    @classmethod
    def load(cls, path: Path, max_distance: int = MAX_DISTANCE) -> Self:
        stored = read_stored(path)
        if stored.kind != _KIND:
            raise BadIndexFile(f"{path.name} holds a table of kind {stored.kind!r}, not {_KIND!r}")
        ids = stored.take("ids", np.int64, 1)
        index = cls(max_distance)
        index.add_many(ids, stored.take("values", np.uint64, 2, (len(ids), _WORDS)).view(np.uint8))
        return index

    def _compare(self, wanted: npt.NDArray[np.uint64], start: int, size: int) -> Hits:
        # uint16: all 256 bits may differ, one more than uint8 holds.
        distance = np.zeros((len(wanted), size), dtype=np.uint16)
        for word in range(_WORDS):
            distance += np.bitwise_count(wanted[:, word, None] ^ self._words[None, word, :size])
        rows, columns = np.nonzero(distance <= self.max_distance)
        return (
            rows.astype(np.int64) + start,
            self._ids[columns],
            distance[rows, columns].astype(np.uint8),
        )

    def _grow(self, needed: int) -> None:
        capacity = len(self._ids)
        if needed <= capacity:
            return
        capacity = max(needed, 2 * capacity)
        words, ids, used = self._words, self._ids, len(self._rows)
        self._words = np.empty((_WORDS, capacity), dtype=np.uint64)
        self._ids = np.empty(capacity, dtype=np.int64)
        self._words[:, :used] = words[:, :used]
        self._ids[:used] = ids[:used]


def _as_words(values: Hashes) -> npt.NDArray[np.uint64]:
    """uint64[n, 4]. Raises ValueError unless `values` is uint8[n, 32]."""
    if values.dtype != np.uint8 or values.ndim != 2 or values.shape[1] != VALUE_BYTES:
        raise ValueError(f"uint8[n, {VALUE_BYTES}] is needed, not {values.dtype}{list(values.shape)}")
    return np.ascontiguousarray(values).view(np.uint64).reshape(-1, _WORDS)
