"""Looks of people that contradict each other or ours: what was seen before does not count against what was seen since."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from services.notifier.domain.events import DecisionMade
from services.notifier.domain.model import Outcome, PersonLook, TakedownState, TaskKind
from services.notifier.domain.takedown import decision_refused
from services.notifier.store.takedown_json import from_json, to_json
from shared import ids
from shared.contracts.decisions import DecisionKind
from tests.unit.notifier.takedown_story import DAY, HOUR, MINUTE, Story, removed_for

SEEN = TaskKind.SEEN_BY_PERSON


def says(story: Story, *, present: bool, person: str = "one", ago: timedelta = timedelta(0)) -> str | None:
    """The look is given, and why it is refused."""
    look = PersonLook(person_id=person, seen_at=story.now - ago, present=present, how="signed_in")
    decision_id = ids.deterministic_id((person, str(story.now), str(ago)))
    made = DecisionMade(decision_id=decision_id, kind=DecisionKind.LOOKED, person_id=person, look=look)
    refused = decision_refused(story.takedown, made, story.now, story.policy)
    story.tell(made)
    return refused


def releases(story: Story, person: str = "two") -> None:
    story.decides(DecisionKind.RELEASE, person=person, task_kind=SEEN)


def blocked_since() -> Story:
    """Delivered, seen by us, and our looks say nothing since."""
    story = Story.delivered()
    story.later(HOUR).look(Outcome.BLOCKED)
    return story


def removed() -> Story:
    story = Story.delivered()
    story.later(HOUR)
    story.confirm_gone()
    assert story.state() is TakedownState.REMOVED
    return story


def test_two_looks_given_at_once_are_one_whatever_times_they_name() -> None:
    story = blocked_since().later(2 * DAY)
    assert says(story, present=False, ago=DAY) is None
    says(story, present=False)
    assert removed_for(story) is None
    story.later(DAY)
    says(story, present=False, person="two")
    assert removed_for(story) == "seen_gone"


@pytest.mark.parametrize("ago", [timedelta(0), 2 * MINUTE], ids=["apart", "less_apart"])
def test_the_times_they_name_are_a_day_apart_too(ago: timedelta) -> None:
    story = blocked_since()
    story.later(HOUR)
    says(story, present=False, ago=MINUTE)
    story.later(DAY)
    says(story, present=False, ago=ago)
    assert (removed_for(story) == "seen_gone") is (ago < MINUTE)


@pytest.mark.parametrize("present", [True, False])
def test_nobody_has_looked_in_the_future(present: bool) -> None:
    story = blocked_since()
    assert says(story, present=present, ago=timedelta(seconds=-1)) == "look_in_future"
    assert (story.takedown.seen_by_person, story.takedown.gone_by_person_at) == (None, None)


def test_gone_before_our_own_present_is_refused() -> None:
    story = blocked_since()
    assert says(story, present=False, ago=HOUR) == "seen_since"
    assert story.takedown.gone_by_person_at is None
    assert says(story, present=False, ago=HOUR - MINUTE) is None


def test_gone_before_a_persons_present_is_refused() -> None:
    story = blocked_since().later(HOUR)
    says(story, present=True, person="two", ago=MINUTE)
    assert says(story, present=False, ago=MINUTE) == "seen_since"
    assert says(story, present=False) is None


@pytest.mark.parametrize("sees", ["we", "person"])
def test_a_first_gone_before_a_present_is_dropped(sees: str) -> None:
    story = blocked_since()
    story.later(HOUR)
    says(story, present=False)
    story.later(MINUTE)
    if sees == "we":
        story.look(Outcome.PRESENT)
        story.later(MINUTE).look(Outcome.BLOCKED)
    else:
        says(story, present=True, person="two")
        releases(story, "three")
    story.later(DAY)
    says(story, present=False)
    assert removed_for(story) is None
    story.later(DAY)
    says(story, present=False)
    assert removed_for(story) == "seen_gone"


@pytest.mark.parametrize("own_present_first", [False, True])
def test_nothing_ends_while_another_person_sees_it(own_present_first: bool) -> None:
    story = blocked_since()
    says(story, present=True, person="two")
    if own_present_first:
        story.later(MINUTE)
        says(story, present=True, person="one")
    for _ in range(3):
        story.later(DAY)
        says(story, present=False, person="one")
    assert (removed_for(story), SEEN.value in story.open_tasks()) == (None, True)


def test_who_saw_it_alone_may_see_it_gone() -> None:
    story = blocked_since()
    says(story, present=True)
    for _ in range(2):
        story.later(DAY)
        says(story, present=False)
    assert removed_for(story) == "seen_gone"


@pytest.mark.parametrize("outcome", [Outcome.GONE, Outcome.MISMATCH])
def test_a_look_before_our_own_removal_makes_no_round(outcome: Outcome) -> None:
    story = Story.delivered()
    for _ in range(2):
        story.later(HOUR).look(outcome)
    before = len(story.sent)
    assert says(story, present=True, ago=HOUR + MINUTE) is None
    assert SEEN.value in story.open_tasks()
    assert story.check_at == story.now
    releases(story)
    assert (story.state(), story.takedown.round, len(story.sent)) == (TakedownState.REMOVED, 1, before)
    assert (story.check_at, story.open_tasks()) == (story.now, set())
    story.look(outcome)
    assert story.state() is TakedownState.REMOVED


def test_a_look_before_one_gone_of_ours_asks_for_another_check() -> None:
    story = Story.delivered()
    story.later(HOUR).look(Outcome.GONE)
    story.later(MINUTE).look(Outcome.BLOCKED)
    says(story, present=True, ago=2 * MINUTE)
    releases(story)
    assert story.state() is TakedownState.VERIFYING
    story.look(Outcome.PRESENT)
    assert story.state() is TakedownState.OPEN


def test_a_look_before_ours_does_not_replace_one_after() -> None:
    story = removed().later(HOUR)
    says(story, present=True, person="one")
    says(story, present=True, person="two", ago=2 * HOUR + MINUTE)
    releases(story, "two")
    assert story.state() is TakedownState.REAPPEARED


def test_a_first_gone_kept_without_its_receipt_is_read() -> None:
    story = blocked_since().later(HOUR)
    says(story, present=False)
    row = json.loads(to_json(story.takedown))
    row.pop("gone_by_person_received_at")
    story.takedown = from_json(json.dumps(row))
    story.later(DAY)
    says(story, present=False)  # it may have been given up to a day after
    assert removed_for(story) is None
    story.later(DAY)
    says(story, present=False)
    assert removed_for(story) == "seen_gone"
