"""The picture in the docs is the code's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.notifier.machine.draft import Draft, IllegalStep
from services.notifier.states import DemandState, TakedownState
from services.notifier.transitions import DEMAND, TAKEDOWN, document
from tests.unit.takedown_story import Story

ROOT = Path(__file__).parents[2]


def test_the_document_is_what_the_code_prints() -> None:
    assert (ROOT / "docs" / "takedown-states.md").read_text() == document(), (
        "run: python -m services.notifier.transitions > docs/takedown-states.md"
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
    draft = Draft(story.takedown, story.now, story.policy, story.around)
    with pytest.raises(IllegalStep):
        draft.move(TakedownState.UNREMOVED)
