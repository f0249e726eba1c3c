"""From candidates to agreeing pairs: values are compared, and each pair is reported by one chunk."""

from __future__ import annotations

import numpy as np

from services.matcher.index.kernels.collecting import AHEAD, Waiting
from services.matcher.index.kernels.comparing import appended, is_alive
from services.matcher.index.kernels.intrinsics import Keys, Numbers, Words, kernel, popcount, prefetch
from services.matcher.index.kernels.tables import Cut, Tables


@kernel
def masked_distance(
    values: Words, slot: np.uint64, wanted: Words, row: np.uint64, masks: Words, chunk: int
) -> np.uint64:
    return np.uint64(
        popcount((values[slot, 0] ^ wanted[row, 0]) & masks[chunk, 0])
        + popcount((values[slot, 1] ^ wanted[row, 1]) & masks[chunk, 1])
        + popcount((values[slot, 2] ^ wanted[row, 2]) & masks[chunk, 2])
        + popcount((values[slot, 3] ^ wanted[row, 3]) & masks[chunk, 3])
    )


@kernel
def is_reported_here(
    slot: np.uint64, wanted: Words, row: np.uint64, low: np.uint64, chunk: int, cut: Cut, part: Tables
) -> bool:
    """Whether the value has the key that was found, of which `low` are the low bits, and no chunk before this one admits the pair.

    It is reported by the first that does. What is asked here is exactly what is asked of an entry.
    """
    values, places, flips, joint = part.values, cut.low_places, cut.flips, cut.joint_flips
    own = np.uint64(0)
    for bit in range(6):
        place = places[chunk, bit]
        own |= ((values[slot, place >> np.uint64(6)] >> (place & np.uint64(63))) & np.uint64(1)) << np.uint64(bit)
    if own != low:
        return False
    for earlier in range(chunk):
        apart = masked_distance(values, slot, wanted, row, cut.chunk_masks, earlier)
        if apart <= flips[earlier]:
            both = apart + masked_distance(values, slot, wanted, row, part.next_masks, earlier)
            if both <= joint[earlier]:
                return False
    return True


@kernel
def measure(
    values: Words,
    wanted: Words,
    rows: Keys,
    waiting: Waiting,
    count: np.uint64,
    max_distance: np.uint64,
    distances: Keys,
) -> np.uint64:
    """Keeps of what is waiting what is near enough, with its distance; how many. No branch in it: many values are under way at once."""
    slots, wanted_by = waiting.slots, waiting.wanted_by
    kept = np.uint64(0)
    for place in range(count, count + np.uint64(AHEAD)):
        slots[place] = np.uint32(0)
    for place in range(min(count, np.uint64(AHEAD))):
        prefetch(values, np.uint64(slots[place]))
    for place in range(count):
        prefetch(values, np.uint64(slots[place + np.uint64(AHEAD)]))
        slot, who = np.uint64(slots[place]), wanted_by[place]
        row = np.uint64(rows[who >> np.uint32(6)])
        distance = np.uint64(
            popcount(values[slot, 0] ^ wanted[row, 0])
            + popcount(values[slot, 1] ^ wanted[row, 1])
            + popcount(values[slot, 2] ^ wanted[row, 2])
            + popcount(values[slot, 3] ^ wanted[row, 3])
        )
        slots[kept], wanted_by[kept], distances[kept] = np.uint32(slot), who, np.uint32(distance)
        kept += np.uint64(distance <= max_distance)
    return kept


@kernel
def verify(
    waiting: Waiting,
    count: np.uint64,
    distances: Keys,
    wanted: Words,
    rows: Keys,
    chunk: int,
    cut: Cut,
    part: Tables,
    max_distance: np.uint64,
    hits: Numbers,
    hit_count: int,
) -> tuple[Numbers, int]:
    kept = measure(part.values, wanted, rows, waiting, count, max_distance, distances)
    for place in range(kept):
        slot, who = np.uint64(waiting.slots[place]), np.uint64(waiting.wanted_by[place])
        row = np.uint64(rows[who >> np.uint64(6)])
        low = who & np.uint64(63)
        if is_alive(part.alive, slot) and is_reported_here(slot, wanted, row, low, chunk, cut, part):
            hits = appended(hits, hit_count, row, slot, np.uint64(distances[place]))
            hit_count += 1
    return hits, hit_count
