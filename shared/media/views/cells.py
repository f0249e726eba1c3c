"""The cells of a collage: a picture cut where a seam goes through from side to side, and each part again."""

from __future__ import annotations

import heapq
import itertools

import numpy as np
import numpy.typing as npt

from shared.media.pdq import Pixels
from shared.media.views.margins import STRICT, trimmed
from shared.media.views.view import MIN_SIDE_PLACES, Area, Levels, is_large

MAX_CELLS = 12
MAX_CUT = 28
"""Areas that are cut: a picture of nothing but seams ends there."""
MAX_DEPTH = 5
_CUTS_OF_EACH = 2
_CUTS_LOOKED_AT = 4
_BESIDE = 3
"""Places on either side in which a picture's own change is measured."""
_LEAST_STEP = 8
_STEEPER = 5
"""A seam's step is what changes beside it and more than a fifth of that."""
_FULL_LENGTH = 0.55
"""The share of a seam at which there is a step: where two pictures happen to be alike, there is none."""
_AS_STRONG = 0.85
_APART = 5
_REST_OF_GAP = 8
"""Of a narrow gap between two pictures so many places may stay with one of them. A deeper margin may be the picture's own."""
_LEAST_CONTRAST = 8.0
"""Standard deviation of luma below which an area is blank."""

Sums = npt.NDArray[np.int16]


def cells(luma: Levels) -> tuple[Area, ...]:
    """At most `MAX_CELLS` areas, those first that no seam as strong as theirs cuts further; without the picture itself.

    An area is as strong as the weakest seam that it was cut at. The strongest are cut first, so that faint lines within one picture do
    not use up what is looked at.
    """
    height, width = luma.shape
    if min(height, width) < MIN_SIDE_PLACES:
        return ()
    seams = _Seams(luma.astype(np.uint8))
    found: dict[Area, tuple[bool, float]] = {}
    waiting = [(-1.0, 0, Area(0, 0, width, height))]
    while waiting and len(found) < MAX_CUT:
        weakest, depth, area = heapq.heappop(waiting)
        if area in found:
            continue
        parts = [(share, one) for share, one in seams.parts(area) if is_large(one, luma)]
        strongest = max((share for share, _ in parts), default=0.0)
        found[area] = strongest >= _AS_STRONG * -weakest, weakest
        if depth < MAX_DEPTH:
            for share, one in parts:
                heapq.heappush(waiting, (max(weakest, -share), depth + 1, one))
    order = sorted(found, key=lambda area: (*found[area], -area.places))
    shown = (area for area in order if area.places < height * width and area.of(luma).std() >= _LEAST_CONTRAST)
    some = itertools.islice(shown, MAX_CELLS)
    return tuple(trimmed(luma, area, STRICT, rounds=1, at_most=_REST_OF_GAP) for area in some)


class _Seams:
    """Where a picture may be cut: for each boundary between columns and between rows, sums of the places at which it is a step."""

    def __init__(self, luma: Pixels) -> None:
        self._upright = _sums(luma)
        self._level = _sums(np.ascontiguousarray(luma.T))

    def parts(self, area: Area) -> list[tuple[float, Area]]:
        """The two halves at each of the strongest seams that go through this area, and how strong those are."""
        left, top, right, bottom = area
        cuts = [
            *((share, True, left + place) for share, place in _strongest(self._upright, top, bottom, left, right)),
            *((share, False, top + place) for share, place in _strongest(self._level, left, right, top, bottom)),
        ]
        parts = []
        for share, upright, place in sorted(cuts, reverse=True)[:_CUTS_OF_EACH]:
            halves = (
                (area._replace(right=place), area._replace(left=place))
                if upright
                else (area._replace(bottom=place), area._replace(top=place))
            )
            parts += [(share, half) for half in halves]
        return parts


def _sums(luma: Pixels) -> Sums:
    """int16[height + 1, width]: at each boundary between the columns x - 1 and x, twice in how many of the rows above it there is a step
    that is steep against what changes beside it."""
    height, width = luma.shape
    padded = np.pad(luma, ((0, 0), (_BESIDE, _BESIDE)), mode="edge")
    changes = _change(padded[:, _BESIDE:], padded[:, :-_BESIDE])  # [:, x]: between x - 3 and x
    step = _change(luma[:, 2:], luma[:, :-2])
    beside = np.minimum(changes[:, : width - 2], changes[:, _BESIDE + 2 : _BESIDE + width])
    steep = (step > _LEAST_STEP) & (step - np.minimum(step, beside) > beside // _STEEPER)
    sums = np.zeros((height + 1, width), dtype=np.int16)
    sums[1:, 1:-1] = steep
    for row in range(height):  # a sum along the other axis takes numpy ten times as long
        np.add(sums[row], sums[row + 1], out=sums[row + 1])
    sums[:, 1:] += sums[:, :-1].copy()  # the step between two columns is seen from either of them
    return sums


def _change(one: Pixels, other: Pixels) -> Pixels:
    """The absolute difference, of bytes, which are compared many at a time."""
    return np.maximum(one, other) - np.minimum(one, other)


def _strongest(sums: Sums, start: int, end: int, first: int, last: int) -> list[tuple[float, int]]:
    """(share, boundary from `first` on) of the strongest seams from `start` to `end`, a few places apart and from the area's sides."""
    if end - start < MIN_SIDE_PLACES or last - first < 2 * _APART + 2:
        return []
    shares = (sums[end, first:last] - sums[start, first:last]) / np.float64(2 * (end - start))
    shares[: _APART + 1] = 0
    shares[-_APART:] = 0
    found = []
    for _ in range(_CUTS_LOOKED_AT):
        place = int(shares.argmax())
        if shares[place] < _FULL_LENGTH:
            break
        found.append((float(shares[place]), place))
        shares[max(0, place - _APART) : place + _APART + 1] = 0
    return found
