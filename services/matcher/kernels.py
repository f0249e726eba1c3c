"""The inner loops of the chunked index, compiled by numba. Import this module only where compiling may wait (see `compiling.py`).

Unsigned integers throughout: numba tests signed indices for negative ones, and mixing the two makes floats.
Arrays are taken out of their tuples before a loop, and a loop hands on no array that a turn of it may exchange: numba counts
references there, with an instruction that lets no memory access pass, and the loops live from having many under way (a search
takes twice as long otherwise).
No function here checks a bound: `frozen.py` hands over arrays of one layout, and nobody else may call them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]  # has no types
from numba import njit, types
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])
Words = npt.NDArray[np.uint64]
Keys = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]

_BLOCK_QUERIES = 8192
"""Queries that go through one chunk together, so that its bitmap (2 MB at most) is brought near once for all of them."""
_GROUP_QUERIES = 8
"""Of these, queries that go step by step together: each step asks for the memory of the next, all at once."""
_CANDIDATES = 4096


class Cut(NamedTuple):
    """A layout's tables; see `chunks.Layout`, whose names these are."""

    table: Words
    starts: Words
    widths: Words
    flips: Words
    word_bounds: Words
    flip_masks: Keys
    flip_bounds: Words
    low_masks: Words
    chunk_masks: Words


class Tables(NamedTuple):
    """A part's tables; see `frozen.ChunkedValues`."""

    values: Words
    alive: Bytes
    bitmaps: Words
    offsets: Keys
    entries: Keys


class Near(NamedTuple):
    """Work space: bitmap words with wanted keys, which, for which query, and where their entries lie."""

    words: Words
    masks: Words
    rows: Numbers
    starts: Words
    stops: Words
    longer: Words


class Waiting(NamedTuple):
    """Work space: candidates not looked at yet."""

    slots: Keys
    rows: Numbers
    distances: Keys


def _kernel(function: Function) -> Function:
    return cast(Function, njit(nogil=True, cache=True, boundscheck=False)(function))


def _as_intrinsic(function: Callable[..., Any]) -> Any:
    return intrinsic(function)


def _popcount(_context: Any, word: Any) -> Any:
    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


def _prefetch(_context: Any, array: Any, row: Any) -> Any:
    """Asks for the cache line of element `row` of a one-dimensional array, or row `row` of one of four columns."""
    row_bytes = array.dtype.bitwidth // 8 * (4 if array.ndim == 2 else 1)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte, word = ir.IntType(8), ir.IntType(32)
        start = builder.bitcast(view.data, byte.as_pointer())
        place = builder.gep(
            start, [builder.mul(arguments[1], ir.Constant(ir.IntType(64), row_bytes))], source_etype=byte
        )
        function = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte.as_pointer()], ir.FunctionType(ir.VoidType(), [byte.as_pointer(), word, word, word])
        )
        builder.call(function, [place, ir.Constant(word, 0), ir.Constant(word, 3), ir.Constant(word, 1)])
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate


def _trailing_zeros(_context: Any, word: Any) -> Any:
    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


def _leading_zeros(_context: Any, word: Any) -> Any:
    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


popcount = _as_intrinsic(_popcount)
prefetch = _as_intrinsic(_prefetch)
trailing_zeros = _as_intrinsic(_trailing_zeros)
leading_zeros = _as_intrinsic(_leading_zeros)


@_kernel
def keys_of(values: Words, table: Words, starts: Words, widths: Words) -> Keys:
    """uint32[n, chunks] of uint64[n, 4] values."""
    count, chunks = len(values), len(starts)
    keys = np.empty((count, chunks), dtype=np.uint32)
    scrambled = np.empty(4, dtype=np.uint64)
    for row in range(count):
        scramble(values[row], table, scrambled)
        for chunk in range(chunks):
            keys[row, chunk] = key_of(scrambled, starts[chunk], widths[chunk])
    return keys


@_kernel
def scramble(value: Words, table: Words, scrambled: Words) -> None:
    a = b = c = d = np.uint64(0)
    for place in range(32):
        byte = (value[place >> 3] >> np.uint64((place & 7) * 8)) & np.uint64(255)
        a |= table[place, byte, 0]
        b |= table[place, byte, 1]
        c |= table[place, byte, 2]
        d |= table[place, byte, 3]
    scrambled[0], scrambled[1], scrambled[2], scrambled[3] = a, b, c, d


@_kernel
def key_of(scrambled: Words, start: np.uint64, width: np.uint64) -> np.uint32:
    word, shift = start >> np.uint64(6), start & np.uint64(63)
    key = scrambled[word] >> shift
    if shift + width > np.uint64(64):
        key |= scrambled[word + np.uint64(1)] << (np.uint64(64) - shift)
    return np.uint32(key & ((np.uint64(1) << width) - np.uint64(1)))


@_kernel
def fill_chunk(keys: Keys, bitmap: Words, offsets: Keys, entries: Keys) -> None:
    """One chunk of a part: `keys` uint32[n]; `bitmap` of zeros and `offsets` of zeros, one longer; `entries` uint32[n].

    Two counting sorts, by the low bits and then by word, leave each word's entries in the order of its keys.
    """
    by_low = _in_order_of_low_bits(keys)
    for slot in range(len(keys)):
        word = np.uint64(keys[slot]) >> np.uint64(6)
        bitmap[word] |= np.uint64(1) << (np.uint64(keys[slot]) & np.uint64(63))
        offsets[word + np.uint64(1)] += np.uint32(1)
    total = np.uint32(0)
    for place in range(len(offsets)):
        total += offsets[place]
        offsets[place] = total
    for place in range(len(by_low)):  # filling moves each word's start to its end ...
        packed = np.uint64(by_low[place])
        word = np.uint64(keys[packed >> np.uint64(6)]) >> np.uint64(6)
        entries[offsets[word]] = np.uint32(packed)
        offsets[word] += np.uint32(1)
    for place in range(len(offsets) - 1, 0, -1):  # ... and back
        offsets[place] = offsets[place - 1]
    offsets[0] = np.uint32(0)


@_kernel
def _in_order_of_low_bits(keys: Keys) -> Keys:
    starts = np.zeros(65, dtype=np.int64)
    for slot in range(len(keys)):
        starts[(keys[slot] & np.uint32(63)) + np.uint32(1)] += 1
    for low in range(64):
        starts[low + 1] += starts[low]
    entries = np.empty(len(keys), dtype=np.uint32)
    for slot in range(len(keys)):
        low_bits = np.uint64(keys[slot]) & np.uint64(63)
        entries[starts[low_bits]] = np.uint32((np.uint64(slot) << np.uint64(6)) | low_bits)
        starts[low_bits] += 1
    return entries


@_kernel
def distance_of(values: Words, slot: np.uint64, a: np.uint64, b: np.uint64, c: np.uint64, d: np.uint64) -> np.uint64:
    return np.uint64(
        popcount(values[slot, 0] ^ a)
        + popcount(values[slot, 1] ^ b)
        + popcount(values[slot, 2] ^ c)
        + popcount(values[slot, 3] ^ d)
    )


@_kernel
def is_alive(alive: Bytes, slot: np.uint64) -> bool:
    there: bool = (np.uint64(alive[slot >> np.uint64(3)]) >> (slot & np.uint64(7))) & np.uint64(1) == np.uint64(1)
    return there


@_kernel
def admitted_before(values: Words, slot: np.uint64, wanted: Words, row: np.uint64, chunk: int, cut: Cut) -> bool:
    """Whether a chunk before this one admits the pair already: it is reported by the first that does."""
    masks, flips = cut.chunk_masks, cut.flips
    a, b = values[slot, 0] ^ wanted[row, 0], values[slot, 1] ^ wanted[row, 1]
    c, d = values[slot, 2] ^ wanted[row, 2], values[slot, 3] ^ wanted[row, 3]
    for earlier in range(chunk):
        flipped = popcount(a & masks[earlier, 0]) + popcount(b & masks[earlier, 1])
        if flipped + popcount(c & masks[earlier, 2]) + popcount(d & masks[earlier, 3]) <= flips[earlier]:
            return True
    return False


@_kernel
def appended(hits: Numbers, found: int, row: int | np.uint64, slot: np.uint64, distance: np.uint64) -> Numbers:
    """`hits` int64[3, capacity] with one more at `found`; moved to a larger array where it is full."""
    if found == hits.shape[1]:
        larger = np.empty((3, 2 * found), dtype=np.int64)
        larger[:, :found] = hits
        hits = larger
    hits[0, found], hits[1, found], hits[2, found] = row, slot, distance
    return hits


@_kernel
def words_near(
    first: int, last: int, keys: Keys, chunk: int, cut: Cut, bitmaps: Words, seen: Numbers, size: int, near: Near
) -> np.uint64:
    """The words of the chunk's bitmap that hold a key within its flips of the key of queries `first` to `last`; how many there are."""
    base, most = cut.word_bounds[chunk], cut.flips[chunk]
    words, masks, rows = near.words, near.masks, near.rows
    flip_masks, flip_bounds, low_masks = cut.flip_masks, cut.flip_bounds, cut.low_masks
    count = np.uint64(0)
    for row in range(first, last):
        if seen[row] > size:
            continue
        key, before = np.uint64(keys[row, chunk]), count
        low, high = key & np.uint64(63), key >> np.uint64(6)
        for flipped in range(most + np.uint64(1)):
            mask = low_masks[most - np.uint64(flipped), low]
            for place in range(flip_bounds[chunk, flipped], flip_bounds[chunk, flipped + 1]):
                word = base + (high ^ np.uint64(flip_masks[place]))
                both = bitmaps[word] & mask
                words[count] = word  # without a branch: kept only where `count` moves on
                masks[count] = both
                count += np.uint64(both != np.uint64(0))
        for place in range(before, count):
            rows[place] = row
    return count


@_kernel
def locate(near: Near, count: np.uint64, chunk: int, part: Tables, entries: Keys) -> np.uint64:
    """Where the entries of each near word lie that can have a wanted key: each other key of the word has one entry at least.

    Returns how many words have more than one such entry; they are listed in `near.longer`.
    """
    words, masks, starts, stops, long_places = near.words, near.masks, near.starts, near.stops, near.longer
    bitmaps, offsets = part.bitmaps, part.offsets
    longer = np.uint64(0)
    for place in range(count):
        prefetch(offsets, words[place] + np.uint64(chunk))
    for place in range(count):
        word, mask = words[place], masks[place]
        first, last = trailing_zeros(mask), np.uint64(63) - leading_zeros(mask)
        below = bitmaps[word] & ((np.uint64(1) << first) - np.uint64(1))
        above = (bitmaps[word] >> last) >> np.uint64(1)
        start = np.uint64(offsets[word + np.uint64(chunk)]) + popcount(below)
        starts[place] = start
        stop = np.uint64(offsets[word + np.uint64(chunk) + np.uint64(1)]) - popcount(above)
        stops[place] = stop
        prefetch(entries, start)
        long_places[longer] = place
        longer += np.uint64(stop - start > np.uint64(1))
    return longer


@_kernel
def collect_first(
    near: Near, count: np.uint64, entries: Keys, values: Words, waiting: Waiting, seen: Numbers
) -> np.uint64:
    """The first entry of each near word, where its key is wanted; most words have no other. How many candidates are waiting then."""
    masks, starts, near_rows, slots, rows = near.masks, near.starts, near.rows, waiting.slots, waiting.rows
    candidates = np.uint64(0)
    for place in range(count):
        packed, row = np.uint64(entries[starts[place]]), near_rows[place]
        wants = (masks[place] >> (packed & np.uint64(63))) & np.uint64(1)
        slots[candidates] = packed >> np.uint64(6)
        rows[candidates] = row
        candidates += wants
        seen[row] += np.int64(wants)
    for place in range(candidates):
        prefetch(values, np.uint64(slots[place]))
    return candidates


@_kernel
def collect_further(
    near: Near,
    longer: np.uint64,
    turn: np.uint64,
    entries: Keys,
    values: Words,
    waiting: Waiting,
    candidates: np.uint64,
    seen: Numbers,
    size: int,
) -> tuple[np.uint64, np.uint64]:
    """The other entries, from the word in `near.longer` at `turn`, until `waiting` is full: (how far it came, candidates waiting).

    `near.starts` moves on to what was not taken yet.
    """
    masks, starts, stops, near_rows = near.masks, near.starts, near.stops, near.rows
    long_places, slots, rows = near.longer, waiting.slots, waiting.rows
    full, before = np.uint64(_CANDIDATES), candidates
    while turn < longer and candidates < full:
        place = long_places[turn]
        start, mask, row = starts[place] + np.uint64(1), masks[place], near_rows[place]
        stop = min(stops[place], start + full - candidates)
        had = candidates
        for entry in range(start, stop):
            packed = np.uint64(entries[entry])
            slots[candidates] = packed >> np.uint64(6)
            rows[candidates] = row
            candidates += (mask >> (packed & np.uint64(63))) & np.uint64(1)
        seen[row] += np.int64(candidates - had)
        starts[place] = stop - np.uint64(1)
        if stop == stops[place] or seen[row] > size:
            turn += np.uint64(1)
    for candidate in range(before, candidates):
        prefetch(values, np.uint64(slots[candidate]))
    return turn, candidates


@_kernel
def measure(values: Words, wanted: Words, waiting: Waiting, count: np.uint64, max_distance: np.uint64) -> np.uint64:
    """Keeps of what is waiting what is near enough, with its distance; how many. No branch in it: many values are under way at once."""
    slots, rows, distances = waiting.slots, waiting.rows, waiting.distances
    kept = np.uint64(0)
    for place in range(count):
        slot, row = np.uint64(slots[place]), np.uint64(rows[place])
        distance = np.uint64(
            popcount(values[slot, 0] ^ wanted[row, 0])
            + popcount(values[slot, 1] ^ wanted[row, 1])
            + popcount(values[slot, 2] ^ wanted[row, 2])
            + popcount(values[slot, 3] ^ wanted[row, 3])
        )
        slots[kept], rows[kept], distances[kept] = slot, row, distance
        kept += np.uint64(distance <= max_distance)
    return kept


@_kernel
def verify(
    waiting: Waiting,
    count: np.uint64,
    wanted: Words,
    chunk: int,
    cut: Cut,
    part: Tables,
    max_distance: np.uint64,
    hits: Numbers,
    found: int,
) -> tuple[Numbers, int]:
    values, alive = part.values, part.alive
    kept = measure(values, wanted, waiting, count, max_distance)
    for place in range(kept):
        slot, row = np.uint64(waiting.slots[place]), np.uint64(waiting.rows[place])
        if is_alive(alive, slot) and not admitted_before(values, slot, wanted, row, chunk, cut):
            hits = appended(hits, found, row, slot, np.uint64(waiting.distances[place]))
            found += 1
    return hits, found


@_kernel
def search_chunk(
    first: int,
    last: int,
    wanted: Words,
    keys: Keys,
    chunk: int,
    cut: Cut,
    part: Tables,
    max_distance: np.uint64,
    near: Near,
    waiting: Waiting,
    seen: Numbers,
    hits: Numbers,
    found: int,
) -> tuple[Numbers, int]:
    """Queries `first` up to `last`, a group that goes step by step together, in one chunk."""
    entries, values, size = part.entries[chunk], part.values, len(part.values)
    near_count = words_near(first, last, keys, chunk, cut, part.bitmaps, seen, size, near)
    longer = locate(near, near_count, chunk, part, entries)
    count = collect_first(near, near_count, entries, values, waiting, seen)
    turn = np.uint64(0)
    while turn < longer:
        turn, count = collect_further(near, longer, turn, entries, values, waiting, count, seen, size)
        if count >= np.uint64(_CANDIDATES):
            hits, found = verify(waiting, count, wanted, chunk, cut, part, max_distance, hits, found)
            count = np.uint64(0)
    return verify(waiting, count, wanted, chunk, cut, part, max_distance, hits, found)


@_kernel
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


@_kernel
def _most_words(cut: Cut) -> int:
    most = np.uint64(0)
    for chunk in range(len(cut.starts)):
        most = max(most, cut.flip_bounds[chunk, 4] - cut.flip_bounds[chunk, 0])
    return int(most)


@_kernel
def search(wanted: Words, cut: Cut, part: Tables, max_distance: np.uint64) -> tuple[Numbers, int, int]:
    """(int64[3, m] of row, slot and distance; candidates looked at; queries that were answered by a scan).

    A query whose candidates outnumber the values is answered by a scan instead: however crowded a bucket, it costs no more
    than about two scans.
    """
    queries, size = len(wanted), len(part.values)
    keys = keys_of(wanted, cut.table, cut.starts, cut.widths)
    hits = np.empty((3, 64), dtype=np.int64)
    found, looked_at, scans = 0, 0, 0
    seen = np.zeros(queries, dtype=np.int64)
    room = min(queries, _GROUP_QUERIES) * _most_words(cut) + 1
    near = Near(
        np.empty(room, dtype=np.uint64),
        np.empty(room, dtype=np.uint64),
        np.empty(room, dtype=np.int64),
        np.empty(room, dtype=np.uint64),
        np.empty(room, dtype=np.uint64),
        np.empty(room, dtype=np.uint64),
    )
    waiting = Waiting(
        np.empty(_CANDIDATES + room, dtype=np.uint32),
        np.empty(_CANDIDATES + room, dtype=np.int64),
        np.empty(_CANDIDATES + room, dtype=np.uint32),
    )

    for first in range(0, queries, _BLOCK_QUERIES):
        last = min(first + _BLOCK_QUERIES, queries)
        found_before = found
        for chunk in range(len(cut.starts)):
            for group in range(first, last, _GROUP_QUERIES):
                end = min(group + _GROUP_QUERIES, last)
                hits, found = search_chunk(
                    group, end, wanted, keys, chunk, cut, part, max_distance, near, waiting, seen, hits, found
                )
        kept = found_before
        for hit in range(found_before, found):  # what a flooded query found is found again by its scan
            if seen[hits[0, hit]] <= size:
                hits[0, kept], hits[1, kept], hits[2, kept] = hits[0, hit], hits[1, hit], hits[2, hit]
                kept += 1
        found = kept
        for row in range(first, last):
            looked_at += seen[row]
            if seen[row] > size:
                looked_at += size
                scans += 1
                hits, found = scan_part(wanted, row, part, max_distance, hits, found)
    return hits[:, :found].copy(), looked_at, scans


@_kernel
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
