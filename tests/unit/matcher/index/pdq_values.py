"""PDQ values and small indexes for the tests of the index."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from services.matcher.index.merging_index import Task
from services.matcher.index.pdq_index import ChunkedPdqIndex
from services.matcher.index.protocol import Hashes, Hits, Numbers, PdqIndex


def as_set(hits: Hits) -> set[tuple[int, int, int]]:
    rows, ids, distances = hits
    assert rows.dtype == np.int64
    assert ids.dtype == np.int64
    assert distances.dtype == np.uint8
    found = list(zip(rows.tolist(), ids.tolist(), distances.tolist(), strict=True))
    assert len(set(found)) == len(found), "a pair is reported once"
    return set(found)


def at_once(task: Task) -> None:
    task()


def small_index(run_merge: Callable[[Task], None] = at_once) -> ChunkedPdqIndex:
    """Freezes after a handful of entries, so that few values go through every part of it."""
    return ChunkedPdqIndex(scan_below=8, head_limit=4, run_merge=run_merge)


def random_values(count: int, seed: int = 0) -> Hashes:
    return np.random.default_rng(seed).integers(0, 256, size=(count, 32), dtype=np.uint8)


def numbered(count: int, start: int = 0) -> Numbers:
    return np.arange(start, start + count, dtype=np.int64)


def filled(index: PdqIndex, values: Hashes) -> PdqIndex:
    index.add_many(numbered(len(values)), values)
    return index
