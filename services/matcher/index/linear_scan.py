"""PDQ values compared one by one: for a few thousand that change too often to be worth an index."""

from __future__ import annotations

import numpy as np

from services.matcher.index.compile import kernels_if_loaded
from services.matcher.index.pdq_index import ChunkedPdqIndex
from services.matcher.index.protocol import MAX_DISTANCE, VALUE_BYTES, Hashes, Hits, Mask

_MANY = 256
_WORTH_AN_INDEX = 20_000
_PAIRS_AT_ONCE = 1 << 20


def scan(wanted: Hashes, values: Hashes, skipped: Mask) -> Hits:
    """(position in `wanted` int64[m], in `values` int64[m], distance uint8[m]) of all that agree. uint8[k, 32], uint8[n, 32], bool[n]."""
    if len(wanted) >= _MANY and len(values) >= _WORTH_AN_INDEX:
        rows = np.flatnonzero(~skipped)
        index = ChunkedPdqIndex()
        index.add_many(rows, values[rows])
        return index.query(wanted)
    mine, theirs = _words(wanted), _words(values)
    loops = kernels_if_loaded()
    if loops is not None:
        hits = loops.scan(mine, theirs, skipped, np.uint64(MAX_DISTANCE))
        return hits[0], hits[1], hits[2].astype(np.uint8)
    step = max(1, _PAIRS_AT_ONCE // max(1, len(theirs)))
    found = [np.empty((3, 0), dtype=np.int64)]
    for start in range(0, len(mine), step):
        # uint16: all 256 bits may differ, one more than uint8 holds.
        distance = np.bitwise_count(mine[start : start + step, None, :] ^ theirs[None, :, :]).sum(
            axis=2, dtype=np.uint16
        )
        rows, places = np.nonzero((distance <= MAX_DISTANCE) & ~skipped[None, :])
        found.append(np.stack([rows + start, places, distance[rows, places].astype(np.int64)]))
    rows, places, distances = np.concatenate(found, axis=1)
    return rows, places, distances.astype(np.uint8)


def _words(values: Hashes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint64]]:
    words = np.ascontiguousarray(values).view(np.uint64).reshape(-1, VALUE_BYTES // 8)
    return np.require(words, requirements=["C", "A", "W"])
