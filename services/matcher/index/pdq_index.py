"""The fast exact index of PDQ values: a `protocol.PdqIndex` for millions of entries that changes while it is searched.

Below `SCAN_BELOW` entries everything is compared, with numpy alone. Beyond, parts are frozen as chunks (`mih_layout.py`) in the
background and searched by compiled loops; a search never waits for the compiler, as a part is put in place when its loops are compiled.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from services.matcher.index.array_file import BadIndexFile, StoredIndex, read_stored, write_stored
from services.matcher.index.compile import kernels_if_loaded
from services.matcher.index.immutable_pdq import ChunkedValues, freeze, shapes_of
from services.matcher.index.merging_index import RunMerge, TieredTable, in_background
from services.matcher.index.merging_parts import Head, HeadView, Part, SearchCounts, State, all_alive
from services.matcher.index.mih_layout import LAYOUTS, MANY
from services.matcher.index.protocol import MAX_DISTANCE, VALUE_BYTES, Hashes, Hits, Numbers

SCAN_BELOW = 20_000
HEAD_LIMIT = 4_096
_PAIRS_AT_ONCE = 1 << 20
_KIND = "pdq 2"
"""With another number where what an array holds has changed: such a file is refused, and what it held is read from the log."""

Words = npt.NDArray[np.uint64]


class ChunkedPdqIndex(TieredTable[ChunkedValues, Head]):
    """Every pair at `max_distance` or less, and no other. Safe to use from several threads; a query holds no lock and no GIL.

    Raises ValueError for a `max_distance` beyond 31, for which the layouts would not be exact.
    """

    def __init__(
        self,
        max_distance: int = MAX_DISTANCE,
        *,
        scan_below: int = SCAN_BELOW,
        head_limit: int = HEAD_LIMIT,
        run_merge: RunMerge = in_background,
    ) -> None:
        if not 0 <= max_distance <= MANY.reach:
            raise ValueError(f"a distance of {max_distance} is not within 0 to {MANY.reach}")
        self.max_distance = max_distance
        self._counting = threading.Lock()
        self._counts = SearchCounts()
        super().__init__(value_bytes=VALUE_BYTES, first_part_at=scan_below, head_limit=head_limit, run_merge=run_merge)

    @property
    def counts(self) -> SearchCounts:
        return self._counts

    def query(self, values: Hashes) -> Hits:
        """(row int64[m], id int64[m], distance uint8[m]) of all agreeing pairs. Raises ValueError for a wrong shape."""
        self._check(values)
        state = self._state
        wanted = _as_words(values)
        found, candidates, scans = [], 0, 0
        for part in state.parts:
            hits, compared, scanned = part.content.search(wanted, part.alive, self.max_distance)
            found.append((hits[0], part.ids[hits[1]], hits[2].astype(np.uint8)))
            candidates, scans = candidates + compared, scans + scanned
        self._count(len(wanted), candidates, scans)
        loops = kernels_if_loaded() if state.parts else None  # with a part in place they are compiled
        found.extend(self._search_head(view, wanted, loops) for view in state.heads() if len(view) and len(wanted))
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8)
        rows, ids, distances = zip(*found, strict=True)
        return np.concatenate(rows), np.concatenate(ids), np.concatenate(distances)

    def save(self, path: Path) -> None:
        """Write what is there now, and nothing that was removed, to a file that `load` reads: written beside, fsynced, renamed, 0600."""
        write_stored(path, _stored(self._state, self.max_distance))

    @classmethod
    def load(
        cls,
        path: Path,
        max_distance: int = MAX_DISTANCE,
        *,
        scan_below: int = SCAN_BELOW,
        head_limit: int = HEAD_LIMIT,
        run_merge: RunMerge = in_background,
    ) -> Self:
        """The index that was saved, its frozen parts mapped into memory. Raises BadIndexFile, and OSError where there is none."""
        index = cls(max_distance, scan_below=scan_below, head_limit=head_limit, run_merge=run_merge)
        stored = read_stored(path)
        if stored.kind != _KIND:
            raise BadIndexFile(f"{path.name} holds a table of kind {stored.kind!r}, not {_KIND!r}")
        parts = tuple(_part_from(stored, place, layout) for place, layout in enumerate(stored.words))
        for part in parts:
            part.content.warm()
        head_ids, head_values = stored.take("head.ids", np.int64, 1), stored.take("head.values", np.uint8, 2)
        index._check(head_values)
        index._state = State(parts=parts, sealed=None, head=index._state.head)
        if len(head_ids):
            index._begin_head(head_ids, head_values)
        return index

    # What TieredTable asks

    def _new_head(self) -> Head:
        return Head(VALUE_BYTES)

    def _freeze(self, values: Hashes) -> ChunkedValues:
        content = freeze(_as_words(values))
        content.warm()
        return content

    def _values_of(self, content: ChunkedValues) -> Hashes:
        return content.words.view(np.uint8)

    # Searching

    def _count(self, queries: int, candidates: int, scans: int) -> None:
        with self._counting:
            before = self._counts
            self._counts = SearchCounts(
                queries=before.queries + queries,
                candidates=before.candidates + candidates,
                scans=before.scans + scans,
            )

    def _search_head(self, view: HeadView[Head], wanted: Words, loops: ModuleType | None) -> Hits:
        ids, words = view.head.ids, _as_words(view.head.values[: view.count])
        if loops is not None:
            hits = loops.scan(wanted, words, view.gone, np.uint64(self.max_distance))
            return hits[0], ids[hits[1]], hits[2].astype(np.uint8)
        return self._scan(wanted, words, ids, view.gone)

    def _scan(self, wanted: Words, words: Words, ids: Numbers, gone: npt.NDArray[np.bool_]) -> Hits:
        step = max(1, _PAIRS_AT_ONCE // max(1, len(words)))
        columns = [np.ascontiguousarray(words[:, place]) for place in range(words.shape[1])]
        found = []
        for start in range(0, len(wanted), step):
            some = wanted[start : start + step]
            # uint16: all 256 bits may differ, one more than uint8 holds.
            distance = np.zeros((len(some), len(words)), dtype=np.uint16)
            for place, column in enumerate(columns):
                distance += np.bitwise_count(some[:, place, None] ^ column[None, :])
            rows, slots = np.nonzero((distance <= self.max_distance) & ~gone[None, :])
            found.append((rows.astype(np.int64) + start, slots, distance[rows, slots].astype(np.uint8)))
        rows, slots, distances = (np.concatenate(column) for column in zip(*found, strict=True))
        return rows, ids[slots], distances


def _as_words(values: Hashes) -> Words:
    words = np.ascontiguousarray(values).view(np.uint64).reshape(-1, VALUE_BYTES // 8)
    # Loops are compiled for the type of an array, of which being writable and aligned is a part.
    return np.require(words, requirements=["C", "A", "W"])


def _stored(state: State[ChunkedValues, Head], max_distance: int) -> StoredIndex:
    arrays: dict[str, npt.NDArray[Any]] = {}
    layouts: list[str] = []
    for part in state.parts:
        ids, content = part.ids, part.content
        if part.removed:  # a removed value may not outlive its removal in a file
            alive = part.living()
            ids, content = ids[alive], freeze(content.words[alive])
        prefix = f"part{len(layouts)}."
        arrays[prefix + "ids"] = ids
        arrays.update({prefix + name: array for name, array in content.arrays().items()})
        layouts.append(content.layout.name)
    entries = [view.entries() for view in state.heads()]
    arrays["head.ids"] = np.concatenate([ids for ids, _ in entries])
    arrays["head.values"] = np.concatenate([values for _, values in entries])
    return StoredIndex(kind=_KIND, words=tuple(layouts), arrays=arrays)


def _part_from(stored: StoredIndex, place: int, layout_name: str) -> Part[ChunkedValues]:
    layout = LAYOUTS.get(layout_name)
    if layout is None:
        raise BadIndexFile(f"layout {layout_name!r} is not known")
    prefix = f"part{place}."
    ids = stored.take(prefix + "ids", np.int64, 1)
    arrays: Mapping[str, Any] = {
        name: stored.take(prefix + name, dtype, len(shape), shape)
        for name, (dtype, shape) in shapes_of(layout, len(ids)).items()
    }
    return Part(ids=ids, alive=all_alive(len(ids)), removed=0, content=ChunkedValues(layout=layout, **arrays))
