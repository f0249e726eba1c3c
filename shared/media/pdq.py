"""PDQ, the perceptual hash of pictures: 256 bits and a quality from 0 to 100.

Written after the paper (ThreatExchange, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm", 2019)
so that it agrees with `pdqhash` bit for bit and in quality: arithmetic is in float32 and sums run in the reference's
order wherever rounding could otherwise differ. `tests/data/pdq` holds its answers.

A picture becomes RGB first (`to_rgb`), then luma; two passes of a box filter along rows and columns blur it; 64 x 64 samples
are taken; of their cosine transform the frequencies 1..16 x 1..16 are kept; a bit says whether one is above the median.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.media.fingerprints import Orientation

Luma = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

MIN_SIDE_PIXELS = 5
"""A smaller picture has no hash: all zero bits, quality 0 (both degenerate and refused)."""
_SIDE = 64
_PASSES = 2
_BLOCK_VALUES = 1 << 16
"""Values worked on at a time: small enough for a processor's cache, large enough that numpy's calls cost little."""
_THOUSANDFOLD = np.array([299, 587, 114], dtype=np.float32)


def pdq_hash(picture: Image.Image | Pixels) -> tuple[bytes, int]:
    """(32 bytes in printed order, quality 0-100) of a picture, or of its uint8[height, width, 3] RGB pixels.

    Raises OSError and what else Pillow raises where a lazily opened picture does not decode.
    """
    pixels = np.asarray(to_rgb(picture)) if isinstance(picture, Image.Image) else picture
    return pdq_of_luma(luma_of(pixels))


def hash_orientations(
    picture: Image.Image | Pixels, orientations: tuple[Orientation, ...] = (Orientation.IDENTITY, Orientation.MIRROR)
) -> dict[Orientation, tuple[bytes, int]]:
    """The hash and quality of the picture's true pixels turned so, for each orientation."""
    pixels = np.asarray(to_rgb(picture)) if isinstance(picture, Image.Image) else picture
    luma = luma_of(pixels)
    hashes = {}
    for place, orientation in enumerate(orientations, start=1):
        turned = _TURNS[orientation](luma)
        # Hashing uses an array up; the last may be the luma plane itself, the largest thing here.
        hashes[orientation] = pdq_of_luma(turned if place == len(orientations) else turned.copy(order="C"))
    return hashes


def to_rgb(picture: Image.Image) -> Image.Image:
    """The picture as 8-bit RGB, by these rules (the oracle's too):

    - palette, grey, 1-bit, CMYK, YCbCr: Pillow's conversion;
    - alpha is dropped, not composed: as ThreatExchange does, so that hashes from elsewhere agree;
    - 16-bit grey keeps its upper byte; 32-bit integer grey too, where it goes beyond 8 bits; floats are clipped to 0-255.
    """
    if picture.mode == "RGB":
        return picture
    if picture.mode.startswith("I") or picture.mode == "F":
        return Image.fromarray(_grey8(picture), "L").convert("RGB")
    return picture.convert("RGB")


def _grey8(picture: Image.Image) -> Pixels:
    values: npt.NDArray[Any] = np.asarray(picture)
    if picture.mode == "F":
        values = np.nan_to_num(values)
    elif picture.mode.startswith("I;16") or (values.size and values.max() > 255):
        values = values >> 8
    grey: Pixels = np.clip(values, 0, 255).astype(np.uint8)
    return grey


def luma_of(pixels: Pixels) -> Luma:
    """float32[height, width] luma (Rec. 601) of uint8[height, width, 3].

    The reference sums 0.299 R + 0.587 G + 0.114 B in float64 and rounds to float32. So does this: a thousandfold luma is a whole
    number, exact in float32, and one division rounds it (no such quotient lies near the middle between two float32 values).
    """
    height, width = pixels.shape[:2]
    luma = np.empty((height, width), dtype=np.float32)
    for rows in _blocks(height, width):
        np.divide(pixels[rows].astype(np.float32) @ _THOUSANDFOLD, np.float32(1000), out=luma[rows])
    return luma


def pdq_of_luma(luma: Luma) -> tuple[bytes, int]:
    """(hash, quality) of float32[height, width] luma in 0-255."""
    height, width = luma.shape
    if height < MIN_SIDE_PIXELS or width < MIN_SIDE_PIXELS:
        return bytes(32), 0
    luma = np.ascontiguousarray(luma, dtype=np.float32)
    samples = luma if (height, width) == (_SIDE, _SIDE) else _downsampled(luma)
    return bits_of(_transformed(samples)), quality_of(samples)


def _downsampled(luma: Luma) -> Luma:
    """float32[64, 64]: blurred by two box filters along each axis (together a tent), sampled at the centres.

    The order of passes is the reference's: along rows, along columns, and both again. Of the last two only samples are wanted.
    """
    height, width = luma.shape
    blurred = _box(_turned_over(luma), _window(width))
    blurred = _box(_turned_over(blurred), _window(height))
    sampled = _box(_turned_over(blurred), _window(width), centres(width))
    return _box(_turned_over(sampled), _window(height), centres(height))


def _turned_over(plane: Luma) -> Luma:
    """Rows as columns, copied block by block: at once, each value would be fetched from another line of memory."""
    height, width = plane.shape
    turned = np.empty((width, height), dtype=np.float32)
    for rows in _blocks(height, width):
        turned[:, rows] = plane[rows].T
    return turned


def _window(length: int) -> int:
    return (length + 2 * _SIDE - 1) // (2 * _SIDE)


def windows_at(length: int, places: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The first places of those averaged around each of these by one pass of the filter, and those behind the last: fewer at the ends."""
    window = _window(length)
    ends = places + (window + 2) // 2
    return np.maximum(0, ends - window), np.minimum(length, ends)


def centres(length: int) -> npt.NDArray[np.intp]:
    """The 64 places that are sampled."""
    return ((np.arange(_SIDE) + 0.5) * length / _SIDE).astype(np.intp)


def _blocks(lines: int, length: int) -> list[slice]:
    """`lines` cut so that a block of lines of this length stays within the memory bound."""
    step = max(1, _BLOCK_VALUES // length)
    return [slice(start, min(start + step, lines)) for start in range(0, lines, step)]


def _box(lines: Luma, window: int, wanted: npt.NDArray[np.intp] | None = None) -> Luma:
    """float32[length, n] averaged down each column, over a window around each place that is smaller at the ends; of the `wanted`
    places alone, where given.

    The reference keeps one running sum in float32, adding at the right edge and subtracting at the left, and its rounding errors
    pile up in that order. So does this, for all columns at once.
    """
    length = len(lines)
    places = np.arange(length) if wanted is None else np.unique(wanted)
    averages = np.empty((len(places), lines.shape[1]), dtype=np.float32)
    total = np.zeros(lines.shape[1], dtype=np.float32)
    row, ahead = 0, (window + 2) // 2
    for entering in range(ahead - 1):
        total += lines[entering]
    for place in range(length):
        entering = place + ahead - 1
        leaving = entering - window
        if entering < length:
            total += lines[entering]
        if leaving >= 0:
            total -= lines[leaving]
        if place == places[row]:
            size = min(entering, length - 1) - max(leaving, -1)
            np.divide(total, np.float32(size), out=averages[row])
            row += 1
            if row == len(places):
                break
    return averages if wanted is None else averages[np.searchsorted(places, wanted)]


def _cosines() -> npt.NDArray[np.float32]:
    # math.cos and not numpy's: the C library's value, whatever vector instructions the machine has.
    scale, step = float(np.float32(math.sqrt(2.0 / _SIDE))), math.pi / 2.0 / _SIDE
    rows = [[scale * math.cos(step * k * (2 * place + 1)) for place in range(_SIDE)] for k in range(1, 17)]
    return np.array(rows, dtype=np.float32)


COSINES = _cosines()
"""float32[16, 64]: the frequencies 1..16 of the cosine transform."""


def _transformed(samples: Luma) -> Luma:
    """float32[16, 16]: frequencies 1..16 along both axes. Summed one term after another, as the reference does."""
    half = np.zeros((16, _SIDE), dtype=np.float32)
    for k in range(_SIDE):
        half += COSINES[:, k, None] * samples[None, k, :]
    whole = np.zeros((16, 16), dtype=np.float32)
    for k in range(_SIDE):
        whole += half[:, k, None] * COSINES[None, :, k]
    return whole


def bits_of(coefficients: Luma) -> bytes:
    """The 32 bytes that say which of float32[16, 16] coefficients are above their median, the last one first."""
    flat = coefficients.reshape(-1)
    median = np.partition(flat, 127)[127]  # the 128th smallest of 256, not the mean of the two in the middle
    return np.packbits((flat > median)[::-1]).tobytes()


def quality_of(samples: Luma) -> int:
    """Of float32[64, 64] samples: the sum of steps between neighbours, each cut to a whole per cent so that faint ones do not count."""
    scale, full = np.float32(100), np.float32(255)
    total = 0
    for steps in (samples[:-1] - samples[1:], samples[:, :-1] - samples[:, 1:]):
        total += int(np.abs((steps * scale / full).astype(np.int32)).sum())
    return min(total // 90, 100)


_TURNS: Mapping[Orientation, Callable[[Luma], Luma]] = MappingProxyType(
    {
        Orientation.IDENTITY: lambda luma: luma,
        Orientation.MIRROR: lambda luma: luma[:, ::-1],
        Orientation.FLIP: lambda luma: luma[::-1],
        Orientation.ROTATE90: lambda luma: np.rot90(luma, 1),
        Orientation.ROTATE180: lambda luma: np.rot90(luma, 2),
        Orientation.ROTATE270: lambda luma: np.rot90(luma, 3),
        Orientation.TRANSPOSE: lambda luma: luma.T,
        Orientation.TRANSVERSE: lambda luma: luma[::-1, ::-1].T,
    }
)
