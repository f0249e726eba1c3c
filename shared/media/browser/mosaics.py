"""Pictures that a page puts together of pieces: which of its picture elements adjoin one another so that they look like one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAX_PIECES = 2_000
"""Of a page; a larger one is seen by the screen alone."""
MAX_MOSAICS = 20
_GAP = 2.0
"""CSS pixels between two pieces that still look like one picture."""
_ALONG = 0.8
"""Of the shorter edge: so much of it lies along the other."""
_FILLED, _OVERFILLED = 0.9, 1.2
"""Of the area around the pieces: they cover it, and hardly one another."""
_MIN_SIDE = 64.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """CSS pixels, from the upper left corner of the document."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Mosaic:
    """What lies around some pieces. `pieces`: their places in what was given."""

    box: Box
    pieces: tuple[int, ...]


def mosaics_of(boxes: Sequence[Box]) -> tuple[Mosaic, ...]:
    """The pictures that two or more boxes make, the largest first."""
    if len(boxes) < 2:
        return ()
    edges = np.array([(one.x, one.y, one.x + one.width, one.y + one.height) for one in boxes])
    found = [_around(edges, group) for group in _groups(_adjoining(edges))]
    made = [one for one in found if one is not None]
    return tuple(sorted(made, key=lambda one: -one.box.width * one.box.height))


def _adjoining(edges: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """bool[n, n]: the one ends where the other begins, along most of the shorter edge."""
    left, top, right, bottom = edges.T
    beside = np.abs(right[:, None] - left[None, :]) <= _GAP
    below = np.abs(bottom[:, None] - top[None, :]) <= _GAP
    touching = (beside & _shared(top, bottom)) | (below & _shared(left, right))
    either: npt.NDArray[np.bool_] = touching | touching.T
    return either


def _shared(start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    overlap = np.minimum(end[:, None], end[None, :]) - np.maximum(start[:, None], start[None, :])
    length = end - start
    shared: npt.NDArray[np.bool_] = overlap >= _ALONG * np.minimum(length[:, None], length[None, :])
    return shared


def _groups(adjoining: npt.NDArray[np.bool_]) -> list[list[int]]:
    """The connected ones, of two or more."""
    left = set(range(len(adjoining)))
    groups = []
    while left:
        pending = [left.pop()]
        group = []
        while pending:
            one = pending.pop()
            group.append(one)
            near = left.intersection(np.flatnonzero(adjoining[one]).tolist())
            left -= near
            pending += near
        if len(group) > 1:
            groups.append(sorted(group))
    return groups


def _around(edges: npt.NDArray[np.float64], group: list[int]) -> Mosaic | None:
    """None where they make no rectangle, or a strip."""
    own = edges[group]
    left, top = own[:, 0].min(), own[:, 1].min()
    width, height = own[:, 2].max() - left, own[:, 3].max() - top
    covered = ((own[:, 2] - own[:, 0]) * (own[:, 3] - own[:, 1])).sum()
    if min(width, height) < _MIN_SIDE or not _FILLED <= covered / (width * height) <= _OVERFILLED:
        return None
    box = Box(x=float(left), y=float(top), width=float(width), height=float(height))
    return Mosaic(box=box, pieces=tuple(group))
