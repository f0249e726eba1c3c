"""From keys that are there to candidates: the entries of a key that pass the test of `searching.py`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.matcher.index.kernels.intrinsics import Bytes, Keys, Words, kernel, popcount, prefetch
from services.matcher.index.kernels.probing import Candidates, Ordered
from services.matcher.index.kernels.tables import Tables

AHEAD = 16
"""Values asked for before they are compared; the places of `Waiting` beyond its room."""


class Waiting(NamedTuple):
    """Work space: candidates, whose values are not compared yet, and for which query and key: place << 6 | the key's low bits."""

    slots: Keys
    wanted_by: Keys


@kernel
def room_of(waiting: Waiting) -> int:
    return len(waiting.slots) - AHEAD


@kernel
def locate(found: Candidates, count: np.uint64, bitmap: Words, offsets: Keys, entries: Keys, spill: Bytes) -> np.uint64:
    """Where the entries of each key may be: each other key of its word has one entry at least. How many have more than one."""
    keys, starts, longer, stops = found.keys, found.starts, found.longer, found.stops
    more_than_one = np.uint64(0)
    for place in range(count):
        key = np.uint64(keys[place])
        word = key >> np.uint64(6)
        there, offset = bitmap[word], np.uint64(offsets[word])
        start = offset + popcount(there & ((np.uint64(1) << (key & np.uint64(63))) - np.uint64(1)))
        starts[place] = np.uint32(start)
        prefetch(entries, start)
        if len(spill):
            prefetch(spill, start)
        further = np.uint64(offsets[word + np.uint64(1)]) - offset - popcount(there)
        longer[more_than_one] = place
        stops[more_than_one] = np.uint32(start + np.uint64(1) + further)
        more_than_one += np.uint64(further != np.uint64(0))
    return more_than_one


@kernel
def too_far(packed: np.uint64, key: np.uint32, next_key: np.uint32, low_bits: np.uint64) -> np.uint64:
    """By how many bits, as far as the entry tells, the next chunk differs; many, if the entry is of another key.

    `packed`: an entry without its slot.
    """
    low_mask = (np.uint64(1) << low_bits) - np.uint64(1)
    apart = packed ^ ((np.uint64(next_key) << low_bits) | (np.uint64(key) & low_mask))
    return np.uint64(popcount(apart >> low_bits) + np.uint64(apart & low_mask != np.uint64(0)) * np.uint64(64))


@kernel
def packed_at(entries: Keys, spill: Bytes, place: np.uint64) -> np.uint64:
    packed = np.uint64(entries[place])
    if len(spill):
        packed |= np.uint64(spill[place]) << np.uint64(32)
    return packed


@kernel
def collect_first(
    found: Candidates, count: np.uint64, ordered: Ordered, joint: np.uint64, chunk: int, part: Tables, waiting: Waiting
) -> np.uint64:
    """The first entry of each key, where it passes; most keys have no other. How many candidates are waiting then."""
    keys, wanted_by, starts, next_keys = found.keys, found.wanted_by, found.starts, ordered.next_keys
    entries, spill, slot_bits, low_bits = part.entries[chunk], part.spill[chunk], part.slot_bits, part.low_bits[chunk]
    slots, for_whom = waiting.slots, waiting.wanted_by
    slot_mask, kept = (np.uint64(1) << slot_bits) - np.uint64(1), np.uint64(0)
    for place in range(count):
        packed, who = packed_at(entries, spill, np.uint64(starts[place])), np.uint64(wanted_by[place])
        query = who >> np.uint64(2)
        slots[kept] = np.uint32(packed & slot_mask)
        for_whom[kept] = np.uint32((query << np.uint64(6)) | (np.uint64(keys[place]) & np.uint64(63)))
        apart = too_far(packed >> slot_bits, keys[place], next_keys[query], low_bits)
        kept += np.uint64(apart + (who & np.uint64(3)) <= joint)
    return kept


@kernel
def collect_further(
    found: Candidates,
    turn: np.uint64,
    start: np.uint64,
    ordered: Ordered,
    joint: np.uint64,
    chunk: int,
    part: Tables,
    waiting: Waiting,
    kept: np.uint64,
) -> tuple[np.uint64, np.uint64]:
    """Other entries of the key at `found.longer[turn]`, from `start` on, until there is no room: (how far it came, candidates waiting)."""
    place = found.longer[turn]
    key, who = found.keys[place], np.uint64(found.wanted_by[place])
    query = who >> np.uint64(2)
    entries, spill, slot_bits, low_bits = part.entries[chunk], part.spill[chunk], part.slot_bits, part.low_bits[chunk]
    slots, for_whom, next_key = waiting.slots, waiting.wanted_by, ordered.next_keys[query]
    slot_mask = (np.uint64(1) << slot_bits) - np.uint64(1)
    stop = min(np.uint64(found.stops[turn]), start + np.uint64(room_of(waiting)) - kept)
    for entry in range(start, stop):
        packed = packed_at(entries, spill, np.uint64(entry))
        slots[kept] = np.uint32(packed & slot_mask)
        for_whom[kept] = np.uint32((query << np.uint64(6)) | (np.uint64(key) & np.uint64(63)))
        apart = too_far(packed >> slot_bits, key, next_key, low_bits)
        kept += np.uint64(apart + (who & np.uint64(3)) <= joint)
    return stop, kept
