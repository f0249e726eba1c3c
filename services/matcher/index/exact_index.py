"""Exact hashes (MD5, SHA-1, SHA-256) by the million: the same interface and life as the PDQ index, agreement is equality.

A frozen part is sorted by a 64-bit digest of the value under a secret of the table (multilinear hashing: Lemire and Kaser, "Strongly
universal string hashing is fast", 2014), so nobody can choose values that crowd one place. numpy alone: nothing is compiled.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from services.matcher.index.array_file import BadIndexFile, StoredIndex, read_stored, write_stored
from services.matcher.index.merging_index import RunMerge, TieredTable, in_background
from services.matcher.index.merging_parts import Head, HeadView, Part, State, all_alive
from services.matcher.index.protocol import Hashes, Hits, Numbers

HEAD_LIMIT = 16_384
_WORD_BYTES = 4
_KIND = "exact"

Words = npt.NDArray[np.uint64]


class ValueHead(Head):
    """A head with the rows of each value at hand."""

    def __init__(self, value_bytes: int) -> None:
        super().__init__(value_bytes)
        self.rows_of: dict[bytes, tuple[int, ...]] = {}

    def append(self, count: int, ids: Numbers, values: Hashes) -> None:
        super().append(count, ids, values)
        for row, value in enumerate(values, start=count):
            key = value.tobytes()
            self.rows_of[key] = (*self.rows_of.get(key, ()), row)

    @property
    def nbytes(self) -> int:
        return super().nbytes + 200 * len(self.rows_of)  # a dict's entry, its bytes and its tuple


@dataclass(frozen=True, slots=True, kw_only=True)
class SortedValues:
    """`values` uint8[n, size] by slot; `digests` uint64[n], rising; `slots` uint32[n] has the slot of each digest."""

    values: Hashes
    digests: Words
    slots: npt.NDArray[np.uint32]

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.digests.nbytes + self.slots.nbytes


class ExactTable(TieredTable[SortedValues, ValueHead]):
    """Values of `value_bytes` bytes, numbered; many ids may have one value.

    `secret`: 8 bytes for each 4 of a value, or None for a new one.
    """

    def __init__(
        self,
        value_bytes: int,
        *,
        secret: bytes | None = None,
        head_limit: int = HEAD_LIMIT,
        run_merge: RunMerge = in_background,
    ) -> None:
        if value_bytes % _WORD_BYTES or value_bytes <= 0:
            raise ValueError(f"a value of {value_bytes} bytes is not a whole number of words")
        words = value_bytes // _WORD_BYTES
        secret = secrets.token_bytes(8 * words) if secret is None else secret
        if len(secret) != 8 * words:
            raise ValueError(f"the secret has {len(secret)} bytes, not {8 * words}")
        self._multipliers = np.frombuffer(secret, dtype=np.uint64)
        super().__init__(value_bytes=value_bytes, first_part_at=head_limit, head_limit=head_limit, run_merge=run_merge)

    def query(self, values: Hashes) -> Hits:
        """(row int64[m], id int64[m], distance uint8[m], all 0) of all equal pairs. Raises ValueError for a wrong shape."""
        self._check(values)
        state = self._state
        found = [self._search_head(view, values) for view in state.heads() if len(view)]
        if state.parts and len(values):
            digests = self._digests(values)
            found.extend(self._search_part(part, values, digests) for part in state.parts)
        rows = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in found)])
        ids = np.concatenate([np.empty(0, np.int64), *(ids for _, ids in found)])
        return rows, ids, np.zeros(len(rows), dtype=np.uint8)

    def save(self, path: Path) -> None:
        """As `ChunkedPdqIndex.save`: what is there, nothing that was removed."""
        state = self._state
        pieces = [
            (part.ids[alive], part.content.values[alive]) for part in state.parts for alive in [part.living()]
        ] + [view.entries() for view in state.heads()]
        ids = np.concatenate([ids for ids, _ in pieces])
        values = np.concatenate([values for _, values in pieces])
        order = np.argsort(ids, kind="stable")
        ids, values = ids[order], values[order]
        content = self._freeze(values)
        arrays = {"ids": ids, "values": values, "digests": content.digests, "slots": content.slots}
        write_stored(path, StoredIndex(kind=_KIND, words=(self._multipliers.tobytes().hex(),), arrays=arrays))

    @classmethod
    def load(
        cls, path: Path, value_bytes: int, *, head_limit: int = HEAD_LIMIT, run_merge: RunMerge = in_background
    ) -> Self:
        """The table that was saved, mapped into memory. Raises BadIndexFile, and OSError where there is none."""
        stored = read_stored(path)
        if stored.kind != _KIND:
            raise BadIndexFile(f"{path.name} holds a table of kind {stored.kind!r}, not {_KIND!r}")
        ids = stored.take("ids", np.int64, 1)
        count = len(ids)
        content = SortedValues(
            values=stored.take("values", np.uint8, 2, (count, value_bytes)),
            digests=stored.take("digests", np.uint64, 1, (count,)),
            slots=stored.take("slots", np.uint32, 1, (count,)),
        )
        (secret,) = stored.words
        table = cls(value_bytes, secret=bytes.fromhex(secret), head_limit=head_limit, run_merge=run_merge)
        if count:
            part = Part(ids=ids, alive=all_alive(count), removed=0, content=content)
            table._state = State(parts=(part,), sealed=None, head=table._state.head)
        return table

    # What TieredTable asks

    def _new_head(self) -> ValueHead:
        return ValueHead(self._value_bytes)

    def _freeze(self, values: Hashes) -> SortedValues:
        digests = self._digests(values)
        order = np.argsort(digests)
        return SortedValues(values=values, digests=digests[order], slots=order.astype(np.uint32))

    def _values_of(self, content: SortedValues) -> Hashes:
        return content.values

    # Searching

    def _digests(self, values: Hashes) -> Words:
        words = np.ascontiguousarray(values).view(np.uint32)
        digests = np.zeros(len(words), dtype=np.uint64)
        for place, multiplier in enumerate(self._multipliers):
            digests += words[:, place].astype(np.uint64) * multiplier  # modulo 2**64, as it is meant
        return digests

    def _search_head(self, view: HeadView[ValueHead], values: Hashes) -> tuple[Numbers, Numbers]:
        pairs = [
            (row, there)
            for row, value in enumerate(values)
            for there in view.head.rows_of.get(value.tobytes(), ())
            if there < view.count and not view.marks[there]
        ]
        found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return found[:, 0], view.head.ids[found[:, 1]]

    def _search_part(self, part: Part[SortedValues], values: Hashes, digests: Words) -> tuple[Numbers, Numbers]:
        content = part.content
        starts = np.searchsorted(content.digests, digests, side="left")
        counts = np.searchsorted(content.digests, digests, side="right") - starts
        rows = np.repeat(np.arange(len(values)), counts)
        if not len(rows):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        slots = content.slots[np.repeat(starts, counts) + within].astype(np.int64)
        there = (part.alive[slots >> 3] >> (slots & 7)) & 1 == 1
        there &= (content.values[slots] == values[rows]).all(axis=1)
        return rows[there].astype(np.int64), part.ids[slots[there]]
