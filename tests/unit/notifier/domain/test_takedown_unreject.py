"""A person can undo a rejection: alone for a while, later with another; "sent in error" waits so long, or for a second person's word."""

from __future__ import annotations

from uuid import uuid4

import pytest

from services.notifier.domain.effects import UndoRejection
from services.notifier.domain.events import AttemptEnded, DecisionMade
from services.notifier.domain.model import MessageKind, Outcome, Rejection, TakedownState
from services.notifier.domain.takedown import decision_refused
from shared.contracts.decisions import DecisionKind
from tests.unit.notifier.takedown_story import HOUR, MINUTE, Story, of_kind, surroundings

REJECT, UNREJECT = DecisionKind.REJECT, DecisionKind.UNREJECT
RETRACTED = MessageKind.RETRACTED


def rejected() -> Story:
    story = Story.delivered()
    story.decides(REJECT, person="one")
    return story


def refused(story: Story, kind: DecisionKind, person: str, rejection: Rejection | None = None) -> str | None:
    made = DecisionMade(decision_id=uuid4(), kind=kind, person_id=person, rejection=rejection)
    return decision_refused(story.takedown, made, story.now, story.policy)


def test_sent_in_error_waits_a_quarter_of_an_hour() -> None:
    story = rejected()
    assert "rejection" in story.open_tasks()
    assert story.later(14 * MINUTE).attempt() == []
    assert story.later(MINUTE).attempt() == [RETRACTED]


def test_a_second_person_lets_it_go_at_once() -> None:
    story = rejected()
    assert refused(story, REJECT, "one") == "own_rejection"
    story.decides(REJECT, person="two")
    assert (story.attempt(), story.open_tasks()) == ([RETRACTED], set())
    assert refused(story, REJECT, "three") == "already_ended"


def test_what_was_not_told_yet_is_told_no_more() -> None:
    story = rejected().later(5 * MINUTE)
    effects = story.decides(UNREJECT, person="one")
    assert of_kind(effects, UndoRejection)
    assert (story.state(), story.takedown.round, story.open_tasks()) == (TakedownState.DISCOVERED, 2, set())
    assert story.later(HOUR).attempt() == []
    story.look(Outcome.PRESENT)
    assert (story.state(), story.attempt()) == (TakedownState.OPEN, [MessageKind.ISSUED])
    assert RETRACTED not in [row.effect.kind for row in story.due()]


def test_what_was_told_is_asked_for_anew() -> None:
    story = rejected().later(16 * MINUTE)
    assert story.attempt() == [RETRACTED]
    story.decides(UNREJECT, person="two")
    story.look(Outcome.PRESENT)
    assert (story.state(), story.takedown.round, story.attempt()) == (TakedownState.OPEN, 2, [MessageKind.ISSUED])


@pytest.mark.parametrize(
    ("after", "person", "why"),
    [
        (0, "one", None),
        (14, "one", None),
        (15, "one", "own_rejection"),
        (600, "one", "own_rejection"),
        (0, "two", None),
        (600, "two", None),
    ],
)
def test_who_may_undo_it(after: int, person: str, why: str | None) -> None:
    assert refused(rejected().later(after * MINUTE), UNREJECT, person) == why


def test_of_the_same_picture_elsewhere_the_tables_say_who_rejected_it() -> None:
    story = Story.matched(around=surroundings(rejected=True)).later(HOUR)
    by = Rejection(person_id="one", at=story.now - HOUR)
    assert refused(story, UNREJECT, "one", by) == "own_rejection"
    assert refused(story, UNREJECT, "two", by) is None


def test_only_what_is_rejected_can_be_unrejected() -> None:
    assert refused(Story.delivered(), UNREJECT, "two") == "not_rejected"


def test_a_withdrawal_meanwhile_lets_nobody_hear_less() -> None:
    story = rejected().later(MINUTE)
    story.withdrawn("not_ncii")
    assert story.later(15 * MINUTE).attempt() == [RETRACTED]


def test_an_attempt_that_was_under_way_is_taken_back_as_late_as_the_others() -> None:
    """A demand whose first attempt had no outcome yet when the match was rejected."""
    story = Story.opened()
    story.attempt(AttemptEnded.UNKNOWN)
    story.decides(REJECT, person="one")
    assert story.later(10 * MINUTE).attempt() == []
    assert story.later(5 * MINUTE).attempt() == [RETRACTED]
