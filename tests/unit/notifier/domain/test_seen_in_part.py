"""The content as a part of a larger picture: what a takedown makes of it, and what its notice says."""

from __future__ import annotations

from typing import Any

import pytest

from services.notifier.domain.model import Observed, Outcome, TakedownState
from services.notifier.notices.message import body, mail
from tests.unit.notifier.notice_message import LINK, message
from tests.unit.notifier.takedown_story import HOUR, START, Story

IN_A_PART: dict[str, Any] = {"view": "cell", "whole_distance": 118}


def test_seen_in_a_part_is_present_and_the_time_line_says_in_which() -> None:
    story = Story.matched()
    story.look(Outcome.PRESENT, **IN_A_PART)
    assert story.state() is TakedownState.OPEN
    assert story.happened("check.present")[-1].facts["view"] == "cell"


def test_nearly_seen_in_a_part_is_a_persons_with_both_distances_and_never_replaced() -> None:
    story = Story.delivered()
    for _ in range(4):
        story.later(HOUR).look(Outcome.INCONCLUSIVE, probably_present=True, distance=41, **IN_A_PART)
    assert (story.state(), story.open_tasks()) == (TakedownState.OPEN, {"probably_present"})
    facts = story.happened("check.inconclusive")[-1].facts
    assert (facts["view"], facts["distance"], facts["whole_distance"]) == ("cell", 41, 118)
    assert story.takedown.gone is None


@pytest.mark.parametrize("as_part", [True, False])
def test_a_notice_says_that_it_is_part_of_a_larger_picture(as_part: bool) -> None:
    story = Story.matched()
    story.look(Outcome.PRESENT, observed=Observed(at=START, status=200, as_part=as_part))
    made = message(story.takedown, story.demand)
    assert ("as part of a larger picture" in " ".join(mail(made, link=LINK).text.split())) is as_part
    assert (b'"as_part":true' in body(made)) is as_part
    assert (b"as_part" in body(made)) is as_part
