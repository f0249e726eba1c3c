"""Not seen is not gone: what a check makes of hosts that still have the picture, or that say nothing, over real HTTP."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.notifier.domain.model import Outcome
from tests.data.still_there import (
    BLOCKED,
    INCONCLUSIVE,
    NOT_THERE,
    SHOWN_ON_A_PAGE,
    STILL_THERE,
    WHATEVER_THE_STATUS,
    Shape,
)
from tests.look_site import open_look_site, outcome_of, told

CLEAR = frozenset((Outcome.GONE, Outcome.MISMATCH))


def test_there_are_as_many_as_there_should_be() -> None:
    assert len(STILL_THERE) >= 60
    assert len({one.name for one in (*STILL_THERE, *NOT_THERE)}) == len(STILL_THERE) + len(NOT_THERE)
    assert not [one.name for one in STILL_THERE if one.light in CLEAR]


@pytest.mark.parametrize(
    "shapes",
    [WHATEVER_THE_STATUS, SHOWN_ON_A_PAGE, BLOCKED, INCONCLUSIVE, NOT_THERE],
    ids=["whatever the status", "shown on a page", "blocked", "inconclusive", "not there"],
)
async def test_what_a_look_says(shapes: Sequence[Shape]) -> None:
    async with open_look_site("127.0.1.92") as site:
        seen = {one.name: await site.look(one) for one in shapes}
        wrong = {one.name: told(seen[one.name]) for one in shapes if outcome_of(seen[one.name]) != one.light}
        assert not wrong
