"""The picture in the docs is the code's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.notifier.domain.builder import IllegalStep, TakedownBuilder
from services.notifier.domain.model import DemandState, TakedownState
from services.notifier.domain.states import DEMAND, TAKEDOWN, document
from tests.unit.notifier.takedown_story import Story

ROOT = Path(__file__).parents[3]


def test_the_document_is_what_the_code_prints() -> None:
    assert (ROOT / "docs" / "takedown-states.md").read_text() == document(), (
        "run: python -m services.notifier.domain.states > docs/takedown-states.md"
    )


def test_every_state_is_in_the_tables() -> None:
    assert set(TAKEDOWN) == set(TakedownState)
    assert set(DEMAND) == set(DemandState)
    assert all(state not in following for state, following in TAKEDOWN.items())
    assert all(state not in following for state, following in DEMAND.items())


def test_everything_can_be_withdrawn_and_withdrawn_is_the_end() -> None:
    assert all(TakedownState.WITHDRAWN in TAKEDOWN[state] for state in TakedownState if state != "withdrawn")
    assert TAKEDOWN[TakedownState.WITHDRAWN] == {}


def test_a_step_that_is_not_in_the_table_is_refused() -> None:
    story = Story.matched()
    draft = TakedownBuilder(story.takedown, story.now, story.policy, story.around)
    with pytest.raises(IllegalStep):
        draft.move(TakedownState.UNREMOVED)
