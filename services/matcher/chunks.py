"""How 256 bits are cut into chunks so that near values meet in one of them: multi-index hashing.

Norouzi, Punjani, Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", CVPR 2012. Chunk c may differ in up to f_c bits.
Two values that differ by more than f_c in every chunk differ by at least the sum of (f_c + 1); where that sum is beyond the distance
looked for, each agreeing pair is admitted by at least one chunk: nothing is missed, whatever the values are.

Neighbouring bits of real PDQ values go together, so the bits are put in a fixed scrambled order first (fewer candidates, same result).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations

import numpy as np
import numpy.typing as npt

BITS = 256
LOW_BITS = 6
"""The bits of a key that choose within a 64-key word of the bitmap; the others choose the word."""
_MOST_FLIPS = 3

Words = npt.NDArray[np.uint64]
Keys = npt.NDArray[np.uint32]


def _scrambled() -> tuple[int, ...]:
    # Ordered by a hash and not by a generator of numpy's, whose streams may change between versions: files depend on it.
    return tuple(sorted(range(BITS), key=lambda bit: hashlib.sha256(b"pdq bit %d" % bit).digest()))


BIT_ORDER = _scrambled()
"""Place p of the scrambled value holds bit `BIT_ORDER[p]` of the value (bit k of byte b, from the lowest, is 8 b + k)."""


@lru_cache(maxsize=1)
def scramble_table() -> Words:
    """uint64[32, 256, 4]: what byte b with value v contributes to the scrambled value; the 32 contributions are ORed."""
    table = np.zeros((BITS // 8, 256, BITS // 64), dtype=np.uint64)
    byte_values = np.arange(256)
    for place, bit in enumerate(BIT_ORDER):
        is_set = (byte_values >> (bit % 8)) & 1 == 1
        table[bit // 8, is_set, place // 64] |= np.uint64(1 << (place % 64))
    return table


@lru_cache(maxsize=1)
def low_masks() -> Words:
    """uint64[flips, 64]: the keys of a word whose low bits are at most that many flips from the given ones, as a mask."""
    flips = np.bitwise_count(np.arange(64)[:, None] ^ np.arange(64)[None, :])
    weights = np.uint64(1) << np.arange(64, dtype=np.uint64)
    return np.stack([((flips <= most) * weights).sum(axis=1, dtype=np.uint64) for most in range(_MOST_FLIPS + 1)])


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`widths` in bits, with the most `flips` of each chunk. Raises ValueError for a cut that is not one of 256 bits."""

    name: str
    widths: tuple[int, ...]
    flips: tuple[int, ...]

    def __post_init__(self) -> None:
        if sum(self.widths) != BITS or len(self.widths) != len(self.flips):
            raise ValueError(f"layout {self.name} does not cut {BITS} bits")
        if not all(LOW_BITS < width <= 26 for width in self.widths) or not all(
            0 <= most <= _MOST_FLIPS for most in self.flips
        ):
            raise ValueError(f"layout {self.name} has a chunk out of range")

    @property
    def reach(self) -> int:
        """The largest distance, in bits, at which no pair is missed."""
        return sum(most + 1 for most in self.flips) - 1

    @cached_property
    def starts(self) -> Words:
        """uint64[chunks]: the place of each chunk's lowest bit in the scrambled value."""
        return np.cumsum([0, *self.widths[:-1]]).astype(np.uint64)

    @cached_property
    def width_array(self) -> Words:
        return np.array(self.widths, dtype=np.uint64)

    @cached_property
    def flip_array(self) -> Words:
        return np.array(self.flips, dtype=np.uint64)

    @cached_property
    def chunk_masks(self) -> Words:
        """uint64[chunks, 4]: the bits of a value, not scrambled, that are in each chunk."""
        masks = np.zeros((len(self.widths), BITS // 64), dtype=np.uint64)
        for chunk, (start, width) in enumerate(zip(self.starts.tolist(), self.widths, strict=True)):
            for bit in BIT_ORDER[start : start + width]:
                masks[chunk, bit // 64] |= np.uint64(1 << (bit % 64))
        return masks

    @cached_property
    def word_bounds(self) -> Words:
        """uint64[chunks + 1]: chunk c's bitmap words are `word_bounds[c]` up to `word_bounds[c + 1]`."""
        return np.cumsum([0, *(1 << (width - LOW_BITS) for width in self.widths)]).astype(np.uint64)

    @cached_property
    def _flip_lists(self) -> tuple[Keys, Words]:
        masks: list[int] = []
        bounds = np.zeros((len(self.widths), _MOST_FLIPS + 2), dtype=np.uint64)
        for chunk, (width, most) in enumerate(zip(self.widths, self.flips, strict=True)):
            for count in range(most + 1):
                bounds[chunk, count] = len(masks)
                masks.extend(sum(1 << bit for bit in chosen) for chosen in combinations(range(width - LOW_BITS), count))
            bounds[chunk, most + 1 :] = len(masks)
        return np.array(masks, dtype=np.uint32), bounds

    @property
    def flip_masks(self) -> Keys:
        """uint32: what to XOR a word number with, for each chunk and number of flips in turn."""
        return self._flip_lists[0]

    @property
    def flip_bounds(self) -> Words:
        """uint64[chunks, 5]: masks with exactly h flips for chunk c are `flip_bounds[c, h]` up to `flip_bounds[c, h + 1]`."""
        return self._flip_lists[1]


FEW = Layout(name="16x16", widths=(16,) * 16, flips=(1,) * 16)
"""Few places to look, more candidates: for parts so small that candidates are rare, and 0.2 MB when empty."""
MANY = Layout(name="6x24+4x23+1x20", widths=(24,) * 6 + (23,) * 4 + (20,), flips=(2,) * 10 + (1,))
"""Many places to look, few candidates; 25 MB when empty."""
SOME = Layout(name="6x22+5x18+2x17", widths=(22,) * 6 + (18,) * 5 + (17,) * 2, flips=(2,) * 6 + (1,) * 7)
"""Between the two; 5 MB when empty."""
LAYOUTS = {layout.name: layout for layout in (FEW, SOME, MANY)}
_FEW_UP_TO = 30_000
_SOME_UP_TO = 300_000


def layout_for(count: int) -> Layout:
    """The fastest layout at about this many values, of those tried."""
    if count <= _FEW_UP_TO:
        return FEW
    return SOME if count <= _SOME_UP_TO else MANY
