"""The frozen part of the fast PDQ index: values that are only looked up. `kernels/` has the loops, `mih_layout.py` the idea."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from services.matcher.index.compile import kernels
from services.matcher.index.mih_layout import (
    LAYOUTS,
    Layout,
    flip_tables,
    layout_for,
    low_masks,
    scramble_table,
)
from services.matcher.index.mih_packing import packing_of

_VALUE_BYTES = 32
_NO_WANTED = np.empty((0, 4), dtype=np.uint64)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkedValues:
    """`words` uint64[n, 4]: the values, by slot. For each chunk of the layout one after the other:

    `bitmaps` uint64: bit k of word w is set where a value has the key 64 w + k;
    `offsets` uint32: word w's entries are `entries[chunk, offsets[w]:offsets[w + 1]]` (one offset more than words in each chunk);
    `entries` uint32[chunks, n] and `spill` uint8[chunks, n], or [chunks, 0] where it is not needed: see `mih_packing.py`.
    """

    layout: Layout
    words: npt.NDArray[np.uint64]
    bitmaps: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.uint32]
    entries: npt.NDArray[np.uint32]
    spill: npt.NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """What a file has to hold beside the layout's name."""
        return {
            "words": self.words,
            "bitmaps": self.bitmaps,
            "offsets": self.offsets,
            "entries": self.entries,
            "spill": self.spill,
        }

    def search(
        self, wanted: npt.NDArray[np.uint64], alive: npt.NDArray[np.uint8], max_distance: int
    ) -> tuple[npt.NDArray[np.int64], int, int]:
        """(int64[3, m]: row, slot, distance; values compared; queries answered by a scan). `alive`: a bit a slot."""
        loops, packing = kernels(), packing_of(self.layout.name, len(self.words))
        part = loops.Tables(
            self.words,
            alive,
            self.bitmaps,
            self.offsets,
            self.entries,
            self.spill,
            packing.slot_bits,
            packing.low_bits,
            packing.next_bits,
            packing.next_masks,
        )
        hits, candidates, scans = loops.search(wanted, _cut(self.layout.name), part, np.uint64(max_distance))
        return hits, int(candidates), int(scans)

    def warm(self) -> None:
        """Compile now what searching a part, and the head before it, needs."""
        kernels().scan(_NO_WANTED, _NO_WANTED, np.empty(0, dtype=np.bool_), np.uint64(0))
        self.search(_NO_WANTED, np.empty(0, dtype=np.uint8), 0)


def freeze(words: npt.NDArray[np.uint64], layout: Layout | None = None) -> ChunkedValues:
    """Build from uint64[n, 4]; about a second a million on one core. Raises ValueError beyond `packing.MAX_VALUES`."""
    layout = layout or layout_for(len(words))
    packing = packing_of(layout.name, len(words))
    loops = kernels()
    cut = _cut(layout.name)
    keys = loops.keys_of(words, cut.table, cut.starts, cut.widths)
    bounds = [int(bound) for bound in layout.word_bounds]
    chunks = len(layout.widths)
    # Filled and not made of zeros: numpy asks for huge pages for the one alone, and a search reads at random places.
    bitmaps = np.empty(bounds[-1], dtype=np.uint64)
    bitmaps.fill(0)
    offsets = np.empty(bounds[-1] + chunks, dtype=np.uint32)
    offsets.fill(0)
    entries = np.empty((chunks, len(words)), dtype=np.uint32)
    spill = np.empty((chunks, len(words) if packing.spills else 0), dtype=np.uint8)
    for chunk in range(chunks):
        start, end = bounds[chunk], bounds[chunk + 1]
        loops.fill_chunk(
            np.ascontiguousarray(keys[:, chunk]),
            np.ascontiguousarray(keys[:, (chunk + 1) % chunks]),
            packing.slot_bits,
            packing.low_bits[chunk],
            packing.next_bits[chunk],
            bitmaps[start:end],
            offsets[start + chunk : end + chunk + 1],
            entries[chunk],
            spill[chunk],
        )
    return ChunkedValues(
        layout=layout, words=_in_cache_lines(words), bitmaps=bitmaps, offsets=offsets, entries=entries, spill=spill
    )


def _in_cache_lines(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The same values, none of which lies in two cache lines."""
    if words.ctypes.data % _VALUE_BYTES == 0:
        return words
    room = np.empty(words.nbytes + _VALUE_BYTES, dtype=np.uint8)
    start = -room.ctypes.data % _VALUE_BYTES
    moved = room[start : start + words.nbytes].view(np.uint64).reshape(words.shape)
    moved[...] = words
    return moved


def shapes_of(layout: Layout, count: int) -> Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Type and shape of each array of `ChunkedValues.arrays()`: what is asked of a file before anything is read from it."""
    words, chunks = int(layout.word_bounds[-1]), len(layout.widths)
    return {
        "words": (np.dtype(np.uint64), (count, 4)),
        "bitmaps": (np.dtype(np.uint64), (words,)),
        "offsets": (np.dtype(np.uint32), (words + chunks,)),
        "entries": (np.dtype(np.uint32), (chunks, count)),
        "spill": (np.dtype(np.uint8), (chunks, count if packing_of(layout.name, count).spills else 0)),
    }


@cache
def _cut(name: str) -> Any:
    layout = LAYOUTS[name]
    return kernels().Cut(
        scramble_table(),
        layout.starts,
        layout.width_array,
        layout.flip_array,
        layout.joint_flips,
        layout.word_bounds,
        layout.low_places,
        layout.chunk_masks,
        low_masks(),
        *flip_tables(),
    )
