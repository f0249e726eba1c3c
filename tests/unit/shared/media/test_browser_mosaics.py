"""Which elements make a picture together."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.media.browser.mosaics import MAX_PIECES, Box, mosaics_of


def grid(
    columns: int, rows: int, width: float, height: float, *, gap: float = 0.0, at: tuple[float, float] = (10, 20)
) -> list[Box]:
    return [
        Box(x=at[0] + column * (width + gap), y=at[1] + row * (height + gap), width=width, height=height)
        for row in range(rows)
        for column in range(columns)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "rows", "gap"), [(4, 4, 0.0), (20, 15, 0.0), (2, 1, 0.0), (1, 2, 0.0), (5, 4, 1.0), (16, 12, 0.4)]
)
def test_a_grid_is_one(columns: int, rows: int, gap: float) -> None:
    pieces = grid(columns, rows, 480 / columns, 360 / rows, gap=gap)
    (found,) = mosaics_of(pieces)
    assert (found.box.x, found.box.y) == (10, 20)
    assert found.box.width == pytest.approx(480 + gap * (columns - 1))
    assert sorted(found.pieces) == list(range(len(pieces)))


@pytest.mark.parametrize(
    "boxes",
    [
        [],
        grid(1, 1, 400, 300),
        grid(4, 4, 120, 90, gap=8.0),
        grid(12, 1, 24, 24),
        [Box(x=0, y=0, width=400, height=300), Box(x=0, y=0, width=400, height=300)],
        [Box(x=0, y=0, width=400, height=300), Box(x=400, y=280, width=400, height=300)],
        [*grid(3, 1, 100, 100, at=(0, 0)), *grid(1, 3, 100, 100, at=(0, 100))],
    ],
    ids=["none", "one", "a gallery with gaps", "icons in a row", "one over the other", "corners", "no rectangle"],
)  # fmt: skip
def test_what_makes_none(boxes: list[Box]) -> None:
    assert mosaics_of(boxes) == ()


def test_two_are_told_apart_and_the_larger_comes_first() -> None:
    small, large = grid(2, 2, 50, 50, at=(0, 0)), grid(4, 4, 100, 100, at=(300, 0))
    assert [len(one.pieces) for one in mosaics_of([*small, *large])] == [16, 4]


SIDES = st.floats(0, 2000, allow_nan=False)


@given(st.lists(st.builds(Box, x=SIDES, y=SIDES, width=SIDES, height=SIDES), max_size=30))
def test_nothing_is_raised(boxes: list[Box]) -> None:
    for one in mosaics_of(boxes):
        assert len(set(one.pieces)) == len(one.pieces) >= 2


def test_the_most_there_may_be_take_no_long() -> None:
    began = time.thread_time()
    assert len(mosaics_of(grid(50, MAX_PIECES // 50, 10, 10))) == 1
    assert time.thread_time() - began < 2.0
