"""Which keys of a chunk are near the keys of queries: looked up in its bitmap, one region of it at a time.

A region, 2^inner words with what belongs to them, is small enough to stay in the second-level cache. The queries of a block are put
in the order of their keys; a region is asked by those of its own keys, with all their flips within it, and by those whose keys
differ from it in as many of the upper bits as may be flipped, with what is left of their flips. So each part of the bitmap, and of
the offsets and entries behind it, comes near once for all queries of the block.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.matcher.index.kernels.intrinsics import Keys, Numbers, Words, kernel, popcount, trailing_zeros
from services.matcher.index.kernels.tables import Cut

FLUSH_AT = 2048
"""Keys found that are looked into together: so many memory accesses are under way."""
MOST_KEYS = 2 * FLUSH_AT + 4096
"""That is found in one go: fewer than FLUSH_AT before, and what one query may find in one region, the keys of 28 bits with 3 flips."""


class Ordered(NamedTuple):
    """The queries of a block in the order of their keys' upper bits, for one chunk: key, bits of the next chunk's key, number of the
    query, and how much was looked at for it. Those of region r are `bounds[r]` up to `bounds[r + 1]`."""

    keys: Keys
    next_keys: Keys
    rows: Keys
    seen: Numbers
    bounds: Numbers


class Candidates(NamedTuple):
    """Work space: keys that are there, and for which query (its place in `Ordered`) with how many flips: place << 2 | flips.

    `starts`: where their entries begin; `longer`: the places here of those with more than one entry, and `stops` where they end.
    """

    keys: Keys
    wanted_by: Keys
    starts: Keys
    longer: Keys
    stops: Keys


@kernel
def order_by_region(
    first: int,
    last: int,
    keys: Keys,
    chunk: int,
    shift: np.uint64,
    regions: int,
    next_mask: np.uint32,
    seen: Numbers,
    ordered: Ordered,
) -> None:
    """Queries `first` to `last`; a key's region is its bits from `shift` on."""
    bounds, ordered_keys, next_keys, rows, ordered_seen = (
        ordered.bounds,
        ordered.keys,
        ordered.next_keys,
        ordered.rows,
        ordered.seen,
    )
    next_chunk = (chunk + 1) % keys.shape[1]
    bounds[: regions + 2] = 0
    for row in range(first, last):
        bounds[(np.uint64(keys[row, chunk]) >> shift) + np.uint64(2)] += 1
    for region in range(regions):
        bounds[region + 2] += bounds[region + 1]
    for row in range(first, last):  # filling moves each region's start to its end, which is the next one's start
        after = (np.uint64(keys[row, chunk]) >> shift) + np.uint64(1)
        place = bounds[after]
        bounds[after] += 1
        ordered_keys[place] = keys[row, chunk]
        next_keys[place] = keys[row, next_chunk] & next_mask
        rows[place] = row
        ordered_seen[place] = seen[row]


@kernel
def probe(
    place: int,
    end: int,
    ordered: Ordered,
    size: int,
    region: np.uint64,
    inner: np.uint64,
    flipped: np.uint64,
    most: np.uint64,
    cut: Cut,
    bitmap: Words,
    found: Candidates,
    count: np.uint64,
) -> tuple[int, np.uint64]:
    """Asks the region whose first word is `region` for queries `place` to `end`, of whose `most` flips `flipped` are made by asking here.

    Returns how far it came, at most until FLUSH_AT keys are found, and how many those are.
    """
    if flipped == most:
        return probe_one_word(place, end, ordered, region, inner, most, bitmap, found, count)
    left = most - flipped
    within = (np.uint64(1) << inner) - np.uint64(1)
    keys, seen, found_keys, wanted_by = ordered.keys, ordered.seen, found.keys, found.wanted_by
    flip_masks, flip_starts, choose, low_masks = cut.flip_masks, cut.flip_starts, cut.choose, cut.low_masks
    first, last = flip_starts[left], flip_starts[left] + choose[inner, left]
    while place < end and count < np.uint64(FLUSH_AT):
        if seen[place] > size:
            place += 1
            continue
        before, query = count, np.uint64(place) << np.uint64(2)
        low = np.uint64(keys[place]) & np.uint64(63)
        own = region ^ ((np.uint64(keys[place]) >> np.uint64(6)) & within)
        for flip in range(first, last):  # all flips made in the word's number: one key of the word is left
            word = own ^ np.uint64(flip_masks[flip])
            found_keys[count] = np.uint32(
                (word << np.uint64(6)) | low
            )  # without a branch: kept only where `count` moves on
            wanted_by[count] = np.uint32(query | most)
            count += (bitmap[word] >> low) & np.uint64(1)
        for flips in range(left):
            mask, made = low_masks[left - np.uint64(flips), low], flipped + np.uint64(flips)
            for flip in range(flip_starts[flips], flip_starts[flips] + choose[inner, flips]):
                word = own ^ np.uint64(flip_masks[flip])
                there = bitmap[word] & mask
                while there != np.uint64(0):
                    bit = trailing_zeros(there)
                    found_keys[count] = np.uint32((word << np.uint64(6)) | bit)
                    wanted_by[count] = np.uint32(query | (made + popcount(bit ^ low)))
                    count += np.uint64(1)
                    there &= there - np.uint64(1)
        seen[place] += np.int64(count - before)
        place += 1
    return place, count


@kernel
def probe_one_word(
    place: int,
    end: int,
    ordered: Ordered,
    region: np.uint64,
    inner: np.uint64,
    most: np.uint64,
    bitmap: Words,
    found: Candidates,
    count: np.uint64,
) -> tuple[int, np.uint64]:
    """As `probe`, where asking here makes all flips. Not counted as seen: too few to matter."""
    within = (np.uint64(1) << inner) - np.uint64(1)
    keys, found_keys, wanted_by = ordered.keys, found.keys, found.wanted_by
    stop = min(end, place + FLUSH_AT)
    for one in range(place, stop):
        key = np.uint64(keys[one])
        word = region ^ ((key >> np.uint64(6)) & within)
        found_keys[count] = np.uint32((word << np.uint64(6)) | (key & np.uint64(63)))
        wanted_by[count] = np.uint32((np.uint64(one) << np.uint64(2)) | most)
        count += (bitmap[word] >> (key & np.uint64(63))) & np.uint64(1)
    return stop, count
