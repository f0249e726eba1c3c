"""The search of a frozen part: keys near those of the queries, their entries, and of these the values that are compared.

An entry is followed to its value only if it passes a sharper test than the pigeonhole's. Let a chunk admit a pair that differs by
d <= f bits in it. Where all chunks are put in a ring and a pair differs by fewer bits in all than the sum of (f + 1), there is a
chunk from which on each run of chunks differs by fewer bits than its own sum of (f + 1) (the cycle lemma; Qin and Xiao, "Pigeonring",
VLDB 2018). So nothing is missed if a chunk admits a pair only when it and the next one together stay below theirs. Some bits of the
next chunk's key are in the entry (`index/mih_packing.py`): fewer bits never refuse what all would admit.
"""

from __future__ import annotations

import numpy as np

from services.matcher.index.kernels.building import keys_of
from services.matcher.index.kernels.collecting import (
    AHEAD,
    Waiting,
    collect_first,
    collect_further,
    locate,
    room_of,
)
from services.matcher.index.kernels.comparing import scan_part
from services.matcher.index.kernels.intrinsics import Keys, Numbers, Words, kernel
from services.matcher.index.kernels.probing import (
    FLUSH_AT,
    MOST_KEYS,
    Candidates,
    Ordered,
    order_by_region,
    probe,
)
from services.matcher.index.kernels.tables import Cut, Tables
from services.matcher.index.kernels.verifying import verify

_BLOCK_QUERIES = 1 << 15
"""Queries that ask one region after another together."""
_REGION_BYTES = 1 << 18
"""Half of a second-level cache as it is common."""
_LEAST_QUERIES = 64
"""Of a region: with fewer, bringing it near is not worth going from region to region."""


@kernel
def follow(
    found: Candidates,
    count: np.uint64,
    ordered: Ordered,
    wanted: Words,
    chunk: int,
    cut: Cut,
    part: Tables,
    max_distance: np.uint64,
    bitmap: Words,
    offsets: Keys,
    waiting: Waiting,
    distances: Keys,
    hits: Numbers,
    hit_count: int,
) -> tuple[Numbers, int, np.uint64]:
    """From `count` keys found to the values that agree, which join `hits`; the last is how many values were compared."""
    joint, seen, size = cut.joint_flips[chunk], ordered.seen, len(part.values)
    more_than_one = locate(found, count, bitmap, offsets, part.entries[chunk], part.spill[chunk])
    kept = collect_first(found, count, ordered, joint, chunk, part, waiting)
    compared = np.uint64(0)
    for turn in range(more_than_one):
        place = found.longer[turn]
        query = found.wanted_by[place] >> np.uint32(2)
        if seen[query] > size:
            continue
        start, stop = np.uint64(found.starts[place]) + np.uint64(1), np.uint64(found.stops[turn])
        seen[query] += np.int64(stop - start)
        while start < stop:
            start, kept = collect_further(found, np.uint64(turn), start, ordered, joint, chunk, part, waiting, kept)
            if kept >= np.uint64(room_of(waiting)):
                compared += kept
                hits, hit_count = verify(
                    waiting, kept, distances, wanted, ordered.rows, chunk, cut, part, max_distance, hits, hit_count
                )
                kept = np.uint64(0)
    hits, hit_count = verify(
        waiting, kept, distances, wanted, ordered.rows, chunk, cut, part, max_distance, hits, hit_count
    )
    return hits, hit_count, compared + kept


@kernel
def upper_bits(queries: int, words: np.uint64, entries: int, word_bits: np.uint64) -> np.uint64:
    """Of a chunk's word numbers, how many say the region: so many that one is small enough, and few enough to be worth it."""
    bits = np.uint64(0)
    while (
        bits < word_bits
        and (np.uint64(12) * words + np.uint64(4 * entries)) >> bits > np.uint64(_REGION_BYTES)
        and queries >> (bits + np.uint64(1)) >= _LEAST_QUERIES
    ):
        bits += np.uint64(1)
    return bits


@kernel
def search_chunk(
    first: int,
    last: int,
    wanted: Words,
    keys: Keys,
    chunk: int,
    cut: Cut,
    part: Tables,
    max_distance: np.uint64,
    upper: np.uint64,
    ordered: Ordered,
    found: Candidates,
    waiting: Waiting,
    distances: Keys,
    seen: Numbers,
    hits: Numbers,
    hit_count: int,
) -> tuple[Numbers, int, np.uint64]:
    """Queries `first` to `last` in one chunk, region by region: as `follow`."""
    start, stop = cut.word_bounds[chunk], cut.word_bounds[chunk + 1]
    bitmap = part.bitmaps[start:stop]
    offsets = part.offsets[start + np.uint64(chunk) : stop + np.uint64(chunk) + np.uint64(1)]
    most, inner = cut.flips[chunk], cut.widths[chunk] - np.uint64(6) - upper
    next_mask = np.uint32((np.uint64(1) << part.next_bits[chunk]) - np.uint64(1))
    regions = 1 << int(upper)
    order_by_region(first, last, keys, chunk, cut.widths[chunk] - upper, regions, next_mask, seen, ordered)
    bounds, size = ordered.bounds, len(part.values)
    flip_masks, flip_starts, choose = cut.flip_masks, cut.flip_starts, cut.choose
    count, compared = np.uint64(0), np.uint64(0)
    for region in range(regions):
        for flipped in range(min(most, upper) + np.uint64(1)):
            for flip in range(flip_starts[flipped], flip_starts[flipped] + choose[upper, flipped]):
                asking = np.uint64(region) ^ np.uint64(flip_masks[flip])
                place, end = bounds[asking], bounds[asking + np.uint64(1)]
                while place < end:
                    place, count = probe(
                        place, end, ordered, size, np.uint64(region) << inner, inner, np.uint64(flipped), most, cut,
                        bitmap, found, count,
                    )  # fmt: skip
                    if count >= np.uint64(FLUSH_AT):
                        hits, hit_count, more = follow(
                            found, count, ordered, wanted, chunk, cut, part, max_distance, bitmap, offsets, waiting,
                            distances, hits, hit_count,
                        )  # fmt: skip
                        compared += more
                        count = np.uint64(0)
    hits, hit_count, more = follow(
        found, count, ordered, wanted, chunk, cut, part, max_distance, bitmap, offsets, waiting,
        distances, hits, hit_count,
    )  # fmt: skip
    for place in range(last - first):
        seen[ordered.rows[place]] = ordered.seen[place]
    return hits, hit_count, compared + more


@kernel
def scan_flooded(
    first: int,
    last: int,
    wanted: Words,
    part: Tables,
    max_distance: np.uint64,
    seen: Numbers,
    hits: Numbers,
    hit_count: int,
    found_before: int,
) -> tuple[Numbers, int, int]:
    """Answers by a scan those queries for which more was looked at than there are values; the last is how many they were."""
    size, scans, kept = len(part.values), 0, found_before
    for hit in range(found_before, hit_count):  # what a flooded query found is found again by its scan
        if seen[hits[0, hit]] <= size:
            hits[0, kept], hits[1, kept], hits[2, kept] = hits[0, hit], hits[1, hit], hits[2, hit]
            kept += 1
    for row in range(first, last):
        if seen[row] > size:
            scans += 1
            hits, kept = scan_part(wanted, row, part, max_distance, hits, kept)
    return hits, kept, scans


@kernel
def keys_near_one(cut: Cut) -> int:
    """The most keys of a chunk within its flips of a query's."""
    most = 0
    for chunk in range(len(cut.widths)):
        near = ways = 1
        for flips in range(1, int(cut.flips[chunk]) + 1):
            ways = ways * (int(cut.widths[chunk]) + 1 - flips) // flips
            near += ways
        most = max(most, near)
    return most


@kernel
def search(wanted: Words, cut: Cut, part: Tables, max_distance: np.uint64) -> tuple[Numbers, int, int]:
    """(int64[3, m] of row, slot and distance; values compared; queries that were answered by a scan).

    A query for which more entries are looked at than there are values is answered by a scan instead: however crowded a bucket, it
    costs no more than about two scans.
    """
    queries, size, chunks = len(wanted), len(part.values), len(cut.starts)
    keys = keys_of(wanted, cut.table, cut.starts, cut.widths)
    hits = np.empty((3, 64), dtype=np.int64)
    # A plain 0 is a type of its own to numba, and all that takes it would be compiled twice.
    hit_count, compared, scans = int(np.int64(0)), np.uint64(0), 0
    seen = np.zeros(queries, dtype=np.int64)
    block = min(queries, _BLOCK_QUERIES)
    upper = np.empty(chunks, dtype=np.uint64)
    for chunk in range(chunks):
        words = cut.word_bounds[chunk + 1] - cut.word_bounds[chunk]
        upper[chunk] = upper_bits(block, words, size, cut.widths[chunk] - np.uint64(6))
    ordered = Ordered(
        np.empty(block, dtype=np.uint32),
        np.empty(block, dtype=np.uint32),
        np.empty(block, dtype=np.uint32),
        np.empty(block, dtype=np.int64),
        np.empty((1 << max(upper)) + 2, dtype=np.int64),
    )
    room = min(block * keys_near_one(cut), MOST_KEYS) + 1  # for few queries little: new memory costs more than they do
    found = Candidates(
        np.empty(room, dtype=np.uint32),
        np.empty(room, dtype=np.uint32),
        np.empty(room, dtype=np.uint32),
        np.empty(room, dtype=np.uint32),
        np.empty(room, dtype=np.uint32),
    )
    room = max(room, FLUSH_AT) + AHEAD
    waiting = Waiting(np.empty(room, dtype=np.uint32), np.empty(room, dtype=np.uint32))
    distances = np.empty(room, dtype=np.uint32)

    for first in range(0, queries, _BLOCK_QUERIES):
        last, before = min(first + _BLOCK_QUERIES, queries), hit_count
        for chunk in range(chunks):
            hits, hit_count, more = search_chunk(
                first, last, wanted, keys, chunk, cut, part, max_distance, upper[chunk], ordered, found, waiting,
                distances, seen, hits, hit_count,
            )  # fmt: skip
            compared += more
        hits, hit_count, flooded = scan_flooded(first, last, wanted, part, max_distance, seen, hits, hit_count, before)
        scans += flooded
    return hits[:, :hit_count].copy(), int(compared) + scans * size, scans
