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
from math import comb

import numpy as np
import numpy.typing as npt

BITS = 256
LOW_BITS = 6
"""The bits of a key that choose within a 64-key word of the bitmap; the others choose the word."""
_MOST_FLIPS = 3
_MOST_WIDTH = 28

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


@lru_cache(maxsize=1)
def flip_tables() -> tuple[Keys, Words, Words]:
    """What to XOR the number of a word with: (masks, starts, choose).

    Masks with h flips in the lowest b bits are `masks[starts[h]]` and the `choose[b, h]` from there on: those of fewer bits come first.
    uint32, uint64[flips], uint64[bits + 1, flips].
    """
    bits, masks, starts = _MOST_WIDTH - LOW_BITS, list[int](), []
    for flips in range(_MOST_FLIPS + 1):
        starts.append(len(masks))
        masks.extend(sorted(sum(1 << bit for bit in chosen) for chosen in combinations(range(bits), flips)))
    choose = [[comb(some, flips) for flips in range(_MOST_FLIPS + 1)] for some in range(bits + 1)]
    return np.array(masks, dtype=np.uint32), np.array(starts, dtype=np.uint64), np.array(choose, dtype=np.uint64)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`widths` in bits, with the most `flips` of each chunk. Raises ValueError for a cut that is not one of 256 bits."""

    name: str
    widths: tuple[int, ...]
    flips: tuple[int, ...]

    def __post_init__(self) -> None:
        if sum(self.widths) != BITS or len(self.widths) != len(self.flips):
            raise ValueError(f"layout {self.name} does not cut {BITS} bits")
        if not all(LOW_BITS < width <= _MOST_WIDTH for width in self.widths) or not all(
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
    def low_places(self) -> Words:
        """uint64[chunks, 6]: which bits of a value, not scrambled, are the low bits of each chunk's key."""
        return np.array([BIT_ORDER[start : start + LOW_BITS] for start in map(int, self.starts)], dtype=np.uint64)

    @cached_property
    def joint_flips(self) -> Words:
        """uint64[chunks]: in how many bits a chunk and the next one, the first after the last, may differ together."""
        return np.array(
            [most + after + 1 for most, after in zip(self.flips, self._next(self.flips), strict=True)], dtype=np.uint64
        )

    @property
    def next_widths(self) -> tuple[int, ...]:
        """The width of the chunk after each."""
        return self._next(self.widths)

    def next_mask(self, chunk: int, bits: int) -> Words:
        """uint64[4]: the lowest so many bits of the key of the next chunk, as bits of a value that is not scrambled."""
        start = int(self.starts[(chunk + 1) % len(self.widths)])
        mask = np.zeros(BITS // 64, dtype=np.uint64)
        for bit in BIT_ORDER[start : start + bits]:
            mask[bit // 64] |= np.uint64(1 << (bit % 64))
        return mask

    @staticmethod
    def _next(values: tuple[int, ...]) -> tuple[int, ...]:
        return (*values[1:], values[0])


FEW = Layout(name="16x16", widths=(16,) * 16, flips=(1,) * 16)
"""Few places to look, more candidates: for parts so small that candidates are rare, and 0.2 MB when empty."""
MANY = Layout(name="4x24+6x23+1x22", widths=(24,) * 4 + (23,) * 6 + (22,), flips=(2,) * 10 + (1,))
"""Many places to look, few candidates; 23 MB when empty."""
VAST = Layout(name="2x(28+4x25)", widths=(28, 25, 25, 25, 25) * 2, flips=(3, 2, 2, 2, 2) * 2)
"""For so many values that candidates cost more than places to look; 144 MB when empty."""
SOME = Layout(name="6x22+5x18+2x17", widths=(22,) * 6 + (18,) * 5 + (17,) * 2, flips=(2,) * 6 + (1,) * 7)
"""Between the first two; 5 MB when empty."""
LAYOUTS = {layout.name: layout for layout in (FEW, SOME, MANY, VAST)}
_FEW_UP_TO = 30_000
_SOME_UP_TO = 300_000
_MANY_UP_TO = 4_000_000


def layout_for(count: int) -> Layout:
    """The fastest layout at about this many values, of those tried."""
    if count <= _FEW_UP_TO:
        return FEW
    if count <= _SOME_UP_TO:
        return SOME
    return MANY if count <= _MANY_UP_TO else VAST
