"""Values compared one with another, and what agrees noted."""

from __future__ import annotations

import numpy as np

from services.matcher.kernels.machine import Bytes, Numbers, Words, kernel, popcount
from services.matcher.kernels.tables import Tables


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
        larger[:, :found] = hits
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
def scan(wanted: Words, values: Words, removed: Bytes, max_distance: np.uint64) -> Numbers:
    """int64[3, m] of row, slot and distance: `wanted` uint64[n, 4] against `values` uint64[k, 4] but for those `removed` (bool[k])."""
    hits = np.empty((3, 64), dtype=np.int64)
    found = 0
    distances = np.empty(64, dtype=np.uint64)
    for row in range(len(wanted)):
        a, b, c, d = wanted[row, 0], wanted[row, 1], wanted[row, 2], wanted[row, 3]
        for first in range(0, len(values), 64):
            length = min(64, len(values) - first)
            least = np.uint64(256)
            for place in range(length):  # plain enough for vector instructions
                distance = distance_of(values, np.uint64(first + place), a, b, c, d)
                distances[place] = distance
                least = min(least, distance)
            if least > max_distance:
                continue
            for place in range(length):
                if distances[place] <= max_distance and not removed[first + place]:
                    hits = appended(hits, found, row, np.uint64(first + place), distances[place])
                    found += 1
    return hits[:, :found].copy()
