"""Which views a picture has. A photograph as it is has the halves, the quarters and the turns alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from shared.media.pdq import Pixels
from shared.media.views import cells
from shared.media.views.margins import LAX, STRICT, block, trimmed
from shared.media.views.view import Area, Levels, View, ViewName, is_large, whole

TURNS_DEGREES = (2, -2, 4, -4, 6, -6)
MAX_VIEWS = 6 + cells.MAX_CELLS + 8 + len(TURNS_DEGREES)
_SAME = 0.006
"""Of the picture's sides: areas that differ by less are one."""


def views_of(plane: Pixels, *, fixed: bool = True) -> tuple[View, ...]:
    """The views of a small picture (uint8[height, width] luma in 0-255, some hundred places a side), at most `MAX_VIEWS`, each area once.

    `fixed`: also halves, quarters and turns, which are the same for each picture. What is tiny is left out. Time is bounded, whatever
    the picture is.
    """
    luma = plane.astype(np.int16)
    found = list(_each_once(_searched(luma), luma))
    if fixed:
        found += [one for one in _fixed(*luma.shape) if is_large(one.area, luma)]
    return tuple(found)


def _searched(luma: Levels) -> Iterator[tuple[ViewName, Area]]:
    picture = whole(luma)
    for name, how in ((ViewName.TRIM, STRICT), (ViewName.LAX_TRIM, LAX)):
        yield name, trimmed(luma, picture, how, rounds=1)
        yield name, trimmed(luma, picture, how)
    found = block(luma)
    if found is not None:
        yield ViewName.BLOCK, found
        yield ViewName.BLOCK, trimmed(luma, found, STRICT)
    yield from ((ViewName.CELL, one) for one in cells.cells(luma))


def _each_once(searched: Iterator[tuple[ViewName, Area]], luma: Levels) -> Iterator[View]:
    height, width = luma.shape
    seen = [whole(luma)]
    for name, area in searched:
        if not is_large(area, luma) or any(_is_same(area, one, height, width) for one in seen):
            continue
        seen.append(area)
        yield View(name=name, area=area)


def _is_same(area: Area, other: Area, height: int, width: int) -> bool:
    across = max(abs(area.left - other.left), abs(area.right - other.right))
    down = max(abs(area.top - other.top), abs(area.bottom - other.bottom))
    return across < _SAME * width and down < _SAME * height


def _fixed(height: int, width: int) -> Iterator[View]:
    across, down = ((0, width // 2), (width // 2, width)), ((0, height // 2), (height // 2, height))
    for left, right in across:
        yield View(name=ViewName.HALF, area=Area(left, 0, right, height))
    for top, bottom in down:
        yield View(name=ViewName.HALF, area=Area(0, top, width, bottom))
        for left, right in across:
            yield View(name=ViewName.QUARTER, area=Area(left, top, right, bottom))
    for degrees in TURNS_DEGREES:
        yield View(name=ViewName.TURN, area=Area(0, 0, width, height), degrees=degrees)
