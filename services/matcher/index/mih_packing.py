"""What an entry of a chunk holds beside the slot of its value: bits that spare following it to the value.

From the lowest bit: the slot; low bits of the chunk's key, where entries are so many that a word has several of a key; and with what
is left, the lowest bits of the next chunk's key (`kernels/searching.py` says what for). 32 bits, or 40 where the slot leaves too few.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from services.matcher.index.mih_layout import LAYOUTS, LOW_BITS

MAX_VALUES = 1 << 26
_ENTRY_BITS = 32
_SPILL_BITS = 8
_SPILL_BEYOND = 1 << 20
"""Values: beyond, an entry has one byte more."""
_CROWDED = 16
"""Values for each word of 64 keys from which on an entry holds the low bits of its key."""

Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How many bits an entry has of each, by chunk (uint64[chunks]); `next_masks` uint64[chunks, 4] are the next chunk's, as bits of a
    value; `spills`: whether there is a fifth byte."""

    slot_bits: np.uint64
    low_bits: Words
    next_bits: Words
    next_masks: Words
    spills: bool


@lru_cache(maxsize=64)
def packing_of(layout_name: str, count: int) -> Packing:
    """For `count` values. Raises ValueError beyond MAX_VALUES."""
    if count > MAX_VALUES:
        raise ValueError(f"a part holds {MAX_VALUES} values at most, not {count}")
    layout = LAYOUTS[layout_name]
    spills = count > _SPILL_BEYOND
    slot_bits = max(1, (count - 1).bit_length())
    room = _ENTRY_BITS + _SPILL_BITS * spills - slot_bits
    low_bits = [LOW_BITS if count > _CROWDED << (width - LOW_BITS) else 0 for width in layout.widths]
    next_bits = [min(width, room - low) for width, low in zip(layout.next_widths, low_bits, strict=True)]
    return Packing(
        slot_bits=np.uint64(slot_bits),
        low_bits=np.array(low_bits, dtype=np.uint64),
        next_bits=np.array(next_bits, dtype=np.uint64),
        next_masks=np.stack([layout.next_mask(chunk, bits) for chunk, bits in enumerate(next_bits)]),
        spills=spills,
    )
