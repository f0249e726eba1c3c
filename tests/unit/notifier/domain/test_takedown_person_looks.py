"""What people see: present by one and released by another is asked for; gone by two looks a day apart ends it; never against our own."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from services.notifier.domain.events import DecisionMade
from services.notifier.domain.model import MessageKind, Outcome, PersonLook, TakedownState, TaskKind
from services.notifier.domain.takedown import decision_refused
from shared.contracts.decisions import DecisionKind
from tests.unit.notifier.takedown_story import DAY, HOUR, MINUTE, Story, removed_for

SEEN = TaskKind.SEEN_BY_PERSON


def looks(story: Story, *, present: bool, person: str = "one", ago: timedelta = timedelta(0)) -> None:
    look = PersonLook(person_id=person, seen_at=story.now - ago, present=present, how="signed_in")
    story.decides(DecisionKind.LOOKED, person=person, look=look)


def releases(story: Story, person: str = "two") -> str | None:
    made = DecisionMade(decision_id=uuid4(), kind=DecisionKind.RELEASE, person_id=person, task_kind=SEEN)
    refused = decision_refused(story.takedown, made, story.now, story.policy)
    story.tell(made)
    return refused


def blocked() -> Story:
    """Held, since no look of ours got through for a day."""
    story = Story.matched()
    for _ in range(48):
        if story.state() is TakedownState.HELD:
            break
        story.look(Outcome.BLOCKED)
        story.later(HOUR)
    assert story.state() is TakedownState.HELD
    return story


@pytest.mark.parametrize("start", ["held", "discovered"])
def test_one_sees_it_and_another_releases_it(start: str) -> None:
    story = blocked() if start == "held" else Story.matched()
    looks(story, present=True, ago=5 * MINUTE)
    assert (SEEN.value in story.open_tasks(), story.attempt()) == (True, [])
    assert releases(story, "one") == "own_look"
    assert story.attempt() == []
    assert releases(story, "two") is None
    assert (story.state(), story.attempt()) == (TakedownState.OPEN, [MessageKind.ISSUED])
    observed = story.demand.printed.observed
    assert observed is not None
    assert (observed.seen_by, observed.at, observed.ip) == ("person", story.now - 5 * MINUTE, None)
    assert story.open_tasks() == set()


def test_what_was_seen_long_ago_lets_nothing_out() -> None:
    story = blocked()
    looks(story, present=True)
    story.later(DAY + MINUTE)
    releases(story)
    assert story.attempt() == []
    assert story.takedown.demands == ()


def test_no_look_of_ours_ends_what_people_alone_saw() -> None:
    story = blocked()
    looks(story, present=True)
    releases(story)
    story.deliver()
    for outcome in (Outcome.GONE, Outcome.GONE, Outcome.MISMATCH, Outcome.GONE):
        story.later(2 * HOUR).look(outcome)
        assert story.state() is not TakedownState.REMOVED
    assert SEEN.value in story.open_tasks()
    looks(story, present=False)
    story.later(DAY)
    looks(story, present=False, person="two")
    assert removed_for(story) == "seen_gone"
    assert MessageKind.CLOSED in [row.effect.kind for row in story.due()]


def test_i_still_see_it_stays_a_task_whatever_our_looks_say() -> None:
    story = Story.delivered()
    story.later(HOUR).look(Outcome.GONE)
    looks(story, present=True)
    for _ in range(3):
        story.later(2 * HOUR).look(Outcome.GONE)
    assert story.state() is TakedownState.VERIFYING
    assert SEEN.value in story.open_tasks()
    assert releases(story) is None
    assert story.state() is TakedownState.OPEN


def test_after_a_removal_it_is_a_new_round() -> None:
    story = Story.delivered()
    story.later(HOUR)
    story.confirm_gone()
    assert story.state() is TakedownState.REMOVED
    looks(story, present=True)
    assert story.state() is TakedownState.REMOVED
    releases(story)
    assert (story.state(), story.takedown.round) == (TakedownState.REAPPEARED, 2)
    assert MessageKind.REAPPEARED in story.attempt()


@pytest.mark.parametrize(
    ("own", "apart", "ended"),
    [
        (Outcome.BLOCKED, DAY, True),
        (Outcome.INCONCLUSIVE, 3 * DAY, True),
        (Outcome.BLOCKED, DAY - MINUTE, False),
        (Outcome.PRESENT, DAY, False),
    ],
)
def test_gone_takes_two_looks_a_day_apart_and_never_against_our_own(
    own: Outcome, apart: timedelta, ended: bool
) -> None:
    story = Story.delivered()
    story.later(HOUR).look(own)
    looks(story, present=False)
    story.later(apart)
    looks(story, present=False)
    assert (removed_for(story) == "seen_gone") is ended


def test_our_own_present_between_them_begins_it_anew() -> None:
    story = Story.delivered()
    story.later(HOUR).look(Outcome.BLOCKED)
    looks(story, present=False)
    story.later(HOUR).look(Outcome.PRESENT)
    story.later(DAY).look(Outcome.BLOCKED)
    looks(story, present=False)
    assert story.state() is TakedownState.OPEN
