"""Values compared one with another, and what agrees noted."""

from __future__ import annotations

import numpy as np

from services.matcher.index.kernels.intrinsics import Bytes, Keys, Numbers, Words, kernel, popcount
from services.matcher.index.kernels.tables import Tables

_BLOCK = 512
"""Values whose first halves stay in the first-level cache while all that is wanted goes by."""


@kernel
def distance_of(values: Words, slot: np.uint64, a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64) -> np.uint64:
    return np.uint64(
        popcount(values[slot, 0] ^ a)
        + popcount(values[slot, 1] ^ b)
        + popcount(values[slot, 2] ^ c)
        + popcount(values[slot, 3] ^ d)
    )


@kernel
def is_alive(alive: Bytes, slot: np.uint64) -> bool:
    there: bool = (np.uint64(alive[slot >> np.uint64(3)]) >> (slot & np.uint64(7))) & np.uint64(1) == np.uint64(1)
    return there


@kernel
def appended(hits: Numbers, found: int, row: int | np.uint64, slot: np.uint64, distance: np.uint64) -> Numbers:
    """`hits` int64[3, capacity] with one more at `found`; moved to a larger array where it is full."""
    if found == hits.shape[1]:
        larger = np.empty((3, 2 * found), dtype=np.int64)
        # A slice would bring what makes the text of a wrong shape's error: two seconds of compiling.
        for at in range(found):
            larger[0, at], larger[1, at], larger[2, at] = hits[0, at], hits[1, at], hits[2, at]
        hits = larger
    hits[0, found], hits[1, found], hits[2, found] = row, slot, distance
    return hits


@kernel
def scan_part(
    wanted: Words, row: int, part: Tables, max_distance: np.uint64, hits: Numbers, found: int
) -> tuple[Numbers, int]:
    a, b, c, d = wanted[row, 0], wanted[row, 1], wanted[row, 2], wanted[row, 3]
    for slot_number in range(len(part.values)):
        slot = np.uint64(slot_number)
        distance = distance_of(part.values, slot, a, b, c, d)
        if distance <= max_distance and is_alive(part.alive, slot):
            hits = appended(hits, found, row, slot, distance)
            found += 1
    return hits, found


@kernel
def near_by_half(wanted: Words, first_words: Words, second_words: Words, max_distance: np.uint64, rows: Keys) -> int:
    """Which of `wanted` are near a value of a block as far as the first half of the bits tells: so many, their rows in `rows`.

    The loop within has no branch and no stride, so that vector instructions do it.
    """
    count = 0
    for row in range(len(wanted)):
        a, b, near = wanted[row, 0], wanted[row, 1], np.uint64(0)
        for place in range(len(first_words)):
            near += np.uint64(popcount(first_words[place] ^ a) + popcount(second_words[place] ^ b) <= max_distance)
        rows[count] = row
        count += int(near != np.uint64(0))
    return count


@kernel
def scan(wanted: Words, values: Words, removed: Bytes, max_distance: np.uint64) -> Numbers:
    """int64[3, m] of row, slot and distance: `wanted` uint64[n, 4] against `values` uint64[k, 4] but for those `removed` (bool[k])."""
    hits = np.empty((3, 64), dtype=np.int64)
    found = 0
    rows = np.empty(len(wanted) + 1, dtype=np.uint32)
    for first in range(0, len(values), _BLOCK):
        last = min(first + _BLOCK, len(values))
        first_words, second_words = values[first:last, 0].copy(), values[first:last, 1].copy()
        for place in range(near_by_half(wanted, first_words, second_words, max_distance, rows)):
            row = rows[place]
            a, b, c, d = wanted[row, 0], wanted[row, 1], wanted[row, 2], wanted[row, 3]
            for slot in range(first, last):
                distance = distance_of(values, np.uint64(slot), a, b, c, d)
                if distance <= max_distance and not removed[slot]:
                    hits = appended(hits, found, int(row), np.uint64(slot), distance)
                    found += 1
    return hits[:, :found].copy()
