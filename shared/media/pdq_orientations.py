"""PDQ of a picture in all eight orientations at once.

Blur and sampling (`pdq.py`) are linear and work on each axis by itself: samples = R · luma · Cᵀ, with a banded 64-row matrix for
each axis. Sampling is not symmetric, so the picture mirrored has other samples; but those are again a product, with the matrix
mirrored. Both matrices together on each axis give four planes of samples in one pass over the picture, and their transposes the
other four.

A product rounds otherwise than the reference's running sums: a value may differ from `pdq_hash`'s in a bit or two whose
coefficient lies at the median. `bench/orientations.py` counts them.
"""

from __future__ import annotations

import functools
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from shared.media.fingerprints import Orientation
from shared.media.pdq import COSINES, MIN_SIDE_PIXELS, Luma, Pixels, bits_of, centres, quality_of, windows_at

_SIDE = 64
_GROUP = 4
"""Neighbouring samples made by one product: more would multiply more zeros, fewer make more calls."""
_LINES = 128
"""Lines worked on at a time, so that they stay in a processor's cache."""

PLANES = MappingProxyType(
    {
        Orientation.IDENTITY: (False, False),
        Orientation.MIRROR: (False, True),
        Orientation.FLIP: (True, False),
        Orientation.ROTATE180: (True, True),
    }
)
"""Whether rows and columns are sampled from the other end."""
TRANSPOSED = MappingProxyType(
    {
        Orientation.IDENTITY: Orientation.TRANSPOSE,
        Orientation.MIRROR: Orientation.ROTATE90,
        Orientation.FLIP: Orientation.ROTATE270,
        Orientation.ROTATE180: Orientation.TRANSVERSE,
    }
)
"""The orientation whose samples are those of this one, transposed."""


def turned_hashes(luma: Luma | Pixels, of: tuple[int, int] | None = None) -> dict[Orientation, tuple[bytes, int]]:
    """(32 bytes in printed order, quality 0-100) for each orientation of float32 or uint8[height, width] luma in 0-255.

    `of`: (height, width) of the picture, where the luma is that of the picture made smaller by a whole number (as a JPEG decoder
    can): each of its places then weighs as much as those it stands for, so that what is sampled lies where it lay.
    """
    height, width = luma.shape if of is None else of
    if height < MIN_SIDE_PIXELS or width < MIN_SIDE_PIXELS:
        return dict.fromkeys(Orientation, (bytes(32), 0))
    # float32[2 · 64, 2 · 64]: along each axis the samples from the near end, then those from the far end.
    samples = _sampled(np.ascontiguousarray(_sampled(luma, width).T), height).T
    hashes = {}
    for turned, (from_below, from_right) in PLANES.items():
        plane = samples[_SIDE * from_below :, _SIDE * from_right :][:_SIDE, :_SIDE]
        coefficients: Luma = (COSINES @ plane @ COSINES.T).astype(np.float32, copy=False)
        quality = quality_of(plane)
        hashes[turned] = bits_of(coefficients), quality
        hashes[TRANSPOSED[turned]] = bits_of(coefficients.T), quality
    return {turned: hashes[turned] for turned in Orientation}


def _sampled(lines: Luma | Pixels, true_length: int) -> Luma:
    """float32[n, 2 · 64]: of each line the 64 samples, and those of the line read from its end."""
    count, length = lines.shape
    samples = np.empty((count, 2 * _SIDE), dtype=np.float32)
    for top in range(0, count, _LINES):
        block = lines[top : top + _LINES].astype(np.float32)
        for start, end, weights, places in _products(true_length, length):
            samples[top : top + _LINES, places] = block[:, start:end] @ weights
    return samples


@functools.lru_cache(maxsize=64)
def _products(true_length: int, length: int) -> tuple[tuple[int, int, Luma, npt.NDArray[np.intp]], ...]:
    """The banded matrix in parts: (columns from, to, their weights, the samples they give)."""
    forth = tents(true_length)
    both = np.vstack((forth, forth[:, ::-1]))
    stands_for = -(-true_length // length)
    both = np.add.reduceat(both, np.arange(0, true_length, stands_for), axis=1)
    parts = []
    for group in range(0, _SIDE, _GROUP):
        # What is sampled from the far end lies where the last samples of the near end do.
        places = np.concatenate((np.arange(group, group + _GROUP), 2 * _SIDE - 1 - np.arange(group, group + _GROUP)))
        used = np.flatnonzero(both[places].any(axis=0))
        start, end = int(used[0]), int(used[-1]) + 1
        weights: Luma = np.ascontiguousarray(both[places, start:end].T, dtype=np.float32)
        parts.append((start, end, weights, places))
    return tuple(parts)


def tents(length: int) -> npt.NDArray[np.float64]:
    """float64[64, length]: what each place weighs in each sample, after both passes of the filter."""
    steps = np.zeros((_SIDE, length + 1))
    rows = np.arange(_SIDE)
    starts, ends = windows_at(length, centres(length))
    for further in range(int((ends - starts).max())):
        at = starts + further
        first, beyond = windows_at(length, at)
        weights = np.where(at < ends, 1.0 / ((ends - starts) * np.maximum(1, beyond - first)), 0.0)
        steps[rows, np.minimum(first, length)] += weights
        steps[rows, beyond] -= weights
    return np.cumsum(steps, axis=1)[:, :-1]
