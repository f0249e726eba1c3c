"""PDQ of the views of a picture, from one small luma plane.

The same linear sampling as `pdq_orientations.py`, of a rectangle: the frequencies 1..16 along each axis are products of the plane
with one matrix a length, from the near end and from the far one; together they give all eight orientations. PDQ blurs before it samples,
so that a plane of some hundred places a side tells it within a few bits; averages of the true pixels cannot be forged.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from shared.media.fingerprints import PDQ_MIN_QUALITY, Hashes, Orientation
from shared.media.pdq import COSINES, Luma, Pixels, bits_of, quality_of, to_rgb
from shared.media.pdq_orientations import PLANES, TRANSPOSED, tents
from shared.media.views.finding import views_of
from shared.media.views.view import Area, PicturePart, View

LONGER_SIDE_PLACES = 512
SHORTEST_SIDE_PIXELS = 96
"""A picture of less, an icon, has no parts."""
_SAMPLES = 64
_KEPT = 16
_LENGTHS_KEPT = 256
"""Matrices kept, of some 100 kB each."""


def parts_of(picture: Image.Image, *, of: int = 0, fixed: bool = True) -> tuple[PicturePart, ...]:
    """The parts of a picture that may be the one looked for, those of low quality left out; `fixed`: see `views_of`."""
    if min(picture.size) < SHORTEST_SIDE_PIXELS:
        return ()
    plane = small_plane(picture)
    height, width = plane.shape
    found = (
        PicturePart(
            name=view.name,
            rectangle=(
                view.area.left / width,
                view.area.top / height,
                view.area.right / width,
                view.area.bottom / height,
            ),
            hashes=hashes,
            of=of,
        )
        for view, hashes in hashed_views(plane, views_of(plane, fixed=fixed))
    )
    return tuple(one for one in found if one.hashes[Orientation.IDENTITY][1] >= PDQ_MIN_QUALITY)


def small_plane(picture: Image.Image) -> Pixels:
    """uint8[height, width] luma of averages over small rectangles, the longer side at most `LONGER_SIDE_PLACES`."""
    grey = to_rgb(picture).convert("L")
    whole_number = max(grey.size) // LONGER_SIDE_PLACES
    if whole_number > 1:
        grey = grey.reduce(whole_number)
    if max(grey.size) > LONGER_SIDE_PLACES:
        scale = LONGER_SIDE_PLACES / max(grey.size)
        size = (max(1, round(grey.width * scale)), max(1, round(grey.height * scale)))
        grey = grey.resize(size, Image.Resampling.BOX)
    plane: Pixels = np.asarray(grey)
    return plane


def hashed_views(plane: Pixels, views: Sequence[View]) -> Iterator[tuple[View, Hashes]]:
    """Each view and its hashes. What is the same for each picture is hashed at half the scale: it is large, and lies nowhere exactly."""
    fine = plane.astype(np.float32)
    picture = Image.fromarray(plane)
    coarse = picture.reduce(2)
    shade = int(plane.mean())  # the corners of a blank picture, turned, must not look like something
    turned: dict[int, Luma] = {0: np.asarray(coarse, dtype=np.float32)}
    for view in views:
        if not view.fixed:
            yield view, _hashes(fine, view.area)
            continue
        if view.degrees not in turned:
            turned[view.degrees] = np.asarray(
                coarse.rotate(view.degrees, Image.Resampling.BILINEAR, fillcolor=shade), dtype=np.float32
            )
        yield view, _hashes(turned[view.degrees], view.area.halved)


def _hashes(plane: Luma, area: Area) -> Hashes:
    across, down = _products(area.width), _products(area.height)
    products: Luma = (down @ area.of(plane) @ across.T).astype(np.float32, copy=False)
    quality = quality_of(products[:_SAMPLES, :_SAMPLES])
    coefficients = products[_SAMPLES:, _SAMPLES:]
    hashes = {}
    for turned, (from_below, from_right) in PLANES.items():
        kept = coefficients[_KEPT * from_below :, _KEPT * from_right :][:_KEPT, :_KEPT]
        hashes[turned] = bits_of(kept), quality
        hashes[TRANSPOSED[turned]] = bits_of(kept.T), quality
    return hashes


@functools.lru_cache(maxsize=_LENGTHS_KEPT)
def _products(length: int) -> Luma:
    """float32[96, length]: the 64 samples of so many places; the frequencies 1..16 of them; and those of the places read from their end."""
    samples = tents(length)
    near = COSINES @ samples
    far = COSINES @ samples[:, ::-1]
    products: Luma = np.concatenate((samples, near, far)).astype(np.float32)
    return products
