"""Every content a register ever met, as columns: its id, the revision applied last and the first row of its entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.matcher.index.growable_array import Growing

BURIED = -1
"""As a revision: only a tombstone was seen, which no revision is above."""
NONE = -1
_ID_BYTES = 16
_KEY_BYTES = 8
_FOLDED_FROM, _FOLDED_AT_MOST = 65_536, 262_144
"""So many ids in the dict, or a quarter of all, are folded; more than the second never wait for it."""

Array = npt.NDArray[Any]

CONTENT_COLUMNS: Mapping[str, tuple[npt.DTypeLike, int | None]] = {
    "content_id": (np.uint8, _ID_BYTES),
    "revision": (np.int64, None),
    "first": (np.int32, None),
}
"""`first`: the first row of its entries."""


class Contents:
    """By row, in the order they were met. What is noted is in no column before `settle`.

    A row is found by the content's id: in a dict while the id is new, then in a sorted array (12 bytes each, and no object).
    """

    def __init__(self) -> None:
        self._columns = {name: Growing(*kind) for name, kind in CONTENT_COLUMNS.items()}
        self._rows: dict[bytes, int] = {}
        self._folded: tuple[Array, Array] = (np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int32))
        """Beginnings of ids, rising, and the row of each."""
        self._new: list[tuple[bytes, int, int]] = []

    def __len__(self) -> int:
        return self._columns["revision"].count + len(self._new)

    @property
    def nbytes(self) -> int:
        """Bytes of memory, the dict's estimated."""
        arrays = sum(column.array.nbytes for column in self._columns.values())
        return arrays + sum(one.nbytes for one in self._folded) + 150 * len(self._rows)

    def row_of(self, content_id: UUID) -> int | None:
        raw = content_id.bytes
        row = self._rows.get(raw)  # before what is folded: `fold` fills that one first
        return self._folded_row(raw) if row is None else row

    def _folded_row(self, raw: bytes) -> int | None:
        keys, rows = self._folded
        if not len(keys):
            return None
        key = np.frombuffer(raw, dtype=np.uint64, count=1)[0]
        at = int(keys.searchsorted(key))
        ids = self._columns["content_id"].array
        while at < len(keys) and keys[at] == key:
            row = int(rows[at])
            if ids[row].tobytes() == raw:
                return row
            at += 1
        return None

    def content_id(self, row: int) -> UUID:
        return UUID(bytes=self._columns["content_id"].array[row].tobytes())

    def content_ids(self, rows: Array) -> list[UUID]:
        raw = self._columns["content_id"].array[rows].tobytes()
        return [UUID(bytes=raw[start : start + _ID_BYTES]) for start in range(0, len(raw), _ID_BYTES)]

    def revision(self, row: int) -> int:
        return int(self._columns["revision"].array[row])

    def note_new(self, content_id: UUID, revision: int, first: int) -> int:
        """The row of a content that was never met."""
        raw = content_id.bytes
        row = self._rows[raw] = len(self)
        self._new.append((raw, revision, first))
        return row

    def set_revision(self, row: int, revision: int) -> None:
        self._columns["revision"].array[row] = revision

    def first(self, row: int) -> int:
        return int(self._columns["first"].array[row])

    def set_first(self, row: int, entry: int) -> None:
        self._columns["first"].array[row] = entry

    def settle(self) -> None:
        """Put what was noted in the columns."""
        if self._new:
            ids, revisions, firsts = zip(*self._new, strict=True)
            self._new = []
            self._columns["content_id"].extend(np.frombuffer(b"".join(ids), dtype=np.uint8).reshape(-1, _ID_BYTES))
            self._columns["revision"].extend(revisions)
            self._columns["first"].extend(firsts)

    # What takes long with millions: apart from the event loop

    def room_for(self, count: int) -> bool:
        """Whether so many can be noted without moving a column, or folding being due."""
        due = min(max(_FOLDED_FROM, len(self) // 4), _FOLDED_AT_MOST)
        return len(self._rows) < due and all(column.room >= count for column in self._columns.values())

    def make_room(self, count: int) -> None:
        for column in self._columns.values():
            column.make_room(count)
        if len(self._rows) >= _FOLDED_FROM:
            self.fold()

    def fold(self) -> None:
        """Find every row by array. May run in a thread beside `row_of`, and beside nothing else."""
        self.settle()
        ids = self._columns["content_id"].view()
        keys = np.ascontiguousarray(ids[:, :_KEY_BYTES]).view(np.uint64).reshape(-1)
        order = np.argsort(keys)
        self._folded = (keys[order], order.astype(np.int32))
        self._rows = {}

    # As a whole

    def arrays(self) -> dict[str, Array]:
        """The columns as they are now, whatever comes later."""
        return {name: column.view().copy() for name, column in self._columns.items()}

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> Contents:
        contents = cls()
        for name, column in contents._columns.items():
            column.extend(arrays[name])
        contents.fold()
        return contents

    def with_firsts(self, firsts: Array) -> Contents:
        """The same with other first rows."""
        other = Contents()
        other._columns = {**self._columns, "first": Growing.of(firsts)}
        other._rows, other._folded = self._rows, self._folded
        return other
