"""A look that a browser had no room for: it ends nothing, it is told, and a person's when it goes on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.notifier.domain.model import Outcome, TakedownState
from tests.unit.notifier.takedown_story import Story

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("why", ["hour_spent", "site_spent", "busy"])
def test_it_confirms_nothing_and_is_told(why: str) -> None:
    story = Story.delivered()
    story.later(HOUR).look(Outcome.GONE, browser="drawn")
    assert story.happened("check.gone")[-1].facts["browser"] == "drawn"
    for _ in range(74):
        story.later(HOUR).look(Outcome.INCONCLUSIVE, reason=f"browser_{why}", browser=why)
    facts = story.happened("check.inconclusive")[-1].facts
    assert (facts["browser"], facts["reason"]) == (why, f"browser_{why}")
    assert story.takedown.state is TakedownState.VERIFYING
    assert "silent" in story.open_tasks()


def test_without_a_browser_nothing_is_told_of_it() -> None:
    story = Story.delivered()
    story.later(HOUR).look(Outcome.GONE)
    assert "browser" not in story.happened("check.gone")[-1].facts
