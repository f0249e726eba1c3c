"""From values to keys, and from keys to the bitmap, offsets and entries of a chunk."""

from __future__ import annotations

import numpy as np

from services.matcher.index.kernels.intrinsics import Bytes, Keys, Words, kernel


@kernel
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


@kernel
def scramble(value: Words, table: Words, scrambled: Words) -> None:
    a = b = c = d = np.uint64(0)
    for place in range(32):
        byte = (value[place >> 3] >> np.uint64((place & 7) * 8)) & np.uint64(255)
        a |= table[place, byte, 0]
        b |= table[place, byte, 1]
        c |= table[place, byte, 2]
        d |= table[place, byte, 3]
    scrambled[0], scrambled[1], scrambled[2], scrambled[3] = a, b, c, d


@kernel
def key_of(scrambled: Words, start: np.uint64, width: np.uint64) -> np.uint32:
    word, shift = start >> np.uint64(6), start & np.uint64(63)
    key = scrambled[word] >> shift
    if shift + width > np.uint64(64):
        key |= scrambled[word + np.uint64(1)] << (np.uint64(64) - shift)
    return np.uint32(key & ((np.uint64(1) << width) - np.uint64(1)))


@kernel
def fill_chunk(
    keys: Keys,
    next_keys: Keys,
    slot_bits: np.uint64,
    low_bits: np.uint64,
    next_bits: np.uint64,
    bitmap: Words,
    offsets: Keys,
    entries: Keys,
    spill: Bytes,
) -> None:
    """One chunk of a part: `keys` and the next chunk's, uint32[n]; `bitmap` of zeros and `offsets` of zeros, one longer; `entries`
    uint32[n], and `spill` uint8[n] or none.

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
    low_mask, next_mask = (np.uint64(1) << low_bits) - np.uint64(1), (np.uint64(1) << next_bits) - np.uint64(1)
    for place in range(len(by_low)):  # filling moves each word's start to its end ...
        slot = by_low[place]
        key = np.uint64(keys[slot])
        packed = ((np.uint64(next_keys[slot]) & next_mask) << low_bits) | (key & low_mask)
        packed = (packed << slot_bits) | np.uint64(slot)
        at = offsets[key >> np.uint64(6)]
        entries[at] = np.uint32(packed & np.uint64(0xFFFFFFFF))
        if len(spill):
            spill[at] = np.uint8(packed >> np.uint64(32))
        offsets[key >> np.uint64(6)] = at + np.uint32(1)
    for place in range(len(offsets) - 1, 0, -1):  # ... and back
        offsets[place] = offsets[place - 1]
    offsets[0] = np.uint32(0)


@kernel
def _in_order_of_low_bits(keys: Keys) -> Keys:
    """The slots, uint32[n]."""
    starts = np.zeros(65, dtype=np.int64)
    for slot in range(len(keys)):
        starts[(keys[slot] & np.uint32(63)) + np.uint32(1)] += 1
    for low in range(64):
        starts[low + 1] += starts[low]
    slots = np.empty(len(keys), dtype=np.uint32)
    for slot in range(len(keys)):
        low_bits = keys[slot] & np.uint32(63)
        slots[starts[low_bits]] = np.uint32(slot)
        starts[low_bits] += 1
    return slots
