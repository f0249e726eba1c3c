"""Where a picture ends and what was put around it begins: margins of one colour, and lines that are even."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shared.media.views.view import Area, Flags, Levels

MAX_ROUNDS = 4
"""A frame within a frame within a frame."""
_SHORTEST = 16
"""Lines of fewer places have no margin that could be told."""
_EDGE_LINES = 2
_LINES_AT_A_TIME = 24
_NEARLY_ALL = 0.85
"""A margin that takes so many of the lines is no margin: the picture is even."""
_LEVEL_OF = (np.arange(256) + 6) // 12
"""Brightness in steps of 12, black and white in the middle of theirs."""
_LEVELS = int(_LEVEL_OF[-1]) + 1
_SEEN_OF_LINE = 2
"""Each second place tells as much."""
_MOST_OF_LINE = 0.6
_EVEN_BETWEEN = 2
"""So many even lines within a block do not end it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evenness:
    """What counts as a margin. `edge`: the share of the outermost lines that has their colour, within 10 of 255; `line`: of each further
    line, within `tolerance`; `gap`: the share of all lines that may lie between two of them, with words on them."""

    edge: float
    line: float
    tolerance: int
    gap: float


STRICT = Evenness(edge=0.9, line=0.96, tolerance=10, gap=0.0)
LAX = Evenness(edge=0.75, line=0.5, tolerance=14, gap=0.05)
_EDGE_TOLERANCE = 10


def trimmed(luma: Levels, area: Area, how: Evenness, *, rounds: int = MAX_ROUNDS, at_most: int | None = None) -> Area:
    """The area without its margins, each side's by itself, and so again `rounds` times, since one may hide the next.

    `at_most`: a deeper margin is left where it is, in places; None: none is. A picture may itself end in a sky or a wall: after one round
    that is still there.
    """
    for _ in range(rounds):
        before = area
        for side in range(4):
            part = area.of(luma)
            if min(part.shape) < _SHORTEST:
                return area
            depth = _margin((part, part[::-1], part.T, part.T[::-1])[side], how)
            if at_most is not None and depth > at_most:
                continue
            area = (
                area._replace(top=area.top + depth),
                area._replace(bottom=area.bottom - depth),
                area._replace(left=area.left + depth),
                area._replace(right=area.right - depth),
            )[side]
        if area == before:
            break
    return area


def _margin(lines: Levels, how: Evenness) -> int:
    """How many of the lines, from the first, are a margin."""
    count, length = lines.shape
    edge = lines[:_EDGE_LINES].ravel()
    colour = np.partition(edge, edge.size // 2)[edge.size // 2]
    if np.count_nonzero(np.abs(edge - colour) <= _EDGE_TOLERANCE) < how.edge * edge.size:
        return 0
    allowed, least = int(how.gap * count), how.line * length
    depth = 0
    for start in range(0, count, _LINES_AT_A_TIME):
        if start - depth > allowed:
            break
        some = lines[start : start + _LINES_AT_A_TIME]
        even = np.count_nonzero(np.abs(some - colour) <= how.tolerance, axis=1) >= least
        for place in np.flatnonzero(even).tolist():
            if start + place - depth > allowed:
                break
            depth = start + place + 1
    return 0 if depth >= _NEARLY_ALL * count else depth


def block(luma: Levels) -> Area | None:
    """The longest stretch of rows that are not even, and within it the longest of columns; None: there is none."""
    rows = _longest(_even(luma))
    if rows is None:
        return None
    top, bottom = rows
    columns = _longest(_even(luma[top:bottom].T))
    if columns is None:
        return None
    return Area(columns[0], top, columns[1], bottom)


def _even(lines: Levels) -> Flags:
    """Of each line, whether most of it has one brightness."""
    seen = lines[:, ::_SEEN_OF_LINE]
    count, length = seen.shape
    level = _LEVEL_OF[seen]
    level += _LEVELS * np.arange(count)[:, None]
    most = np.bincount(level.ravel(), minlength=_LEVELS * count).reshape(count, _LEVELS).max(axis=1)
    even: Flags = most >= _MOST_OF_LINE * length
    return even


def _longest(even: Flags) -> tuple[int, int] | None:
    runs = [(end - start, start, end) for start, end in _stretches(even) if end - start >= _SHORTEST]
    if not runs:
        return None
    _, start, end = max(runs, key=lambda run: run[0])
    return start, end


def _stretches(even: Flags) -> Iterator[tuple[int, int]]:
    """[start, end) of lines that are not even, with at most a few even ones between."""
    places = np.flatnonzero(~even)
    if not len(places):
        return
    breaks = np.flatnonzero(np.diff(places) > _EVEN_BETWEEN)
    starts = (places[0], *places[breaks + 1])
    ends = (*places[breaks], places[-1])
    yield from ((int(start), int(end) + 1) for start, end in zip(starts, ends, strict=True))
