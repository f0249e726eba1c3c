"""So many first demands rest on one API key's word that the next one waits for a person."""

from __future__ import annotations

from dataclasses import replace

from services.notifier.domain.effects import OpenTask
from services.notifier.domain.events import MatchReceived
from services.notifier.domain.model import HoldReason, Outcome, TakedownState, TaskKind
from shared.contracts.content import Assurance
from shared.contracts.decisions import DecisionKind
from tests.unit.notifier.takedown_story import MATCH, TARGET, Story, surroundings

BY_KEY = replace(MATCH, reported_by="ab" * 8)
REACHED = surroundings(key_limit_reached=True)


def held() -> Story:
    story = Story.matched(match=BY_KEY, around=REACHED)
    effects = story.look(Outcome.PRESENT)
    (task,) = (one for one in effects if isinstance(one, OpenTask))
    assert (task.kind, task.scope) == (TaskKind.KEY_LIMIT, "key")
    assert (story.state(), story.takedown.held_for, story.sent) == (TakedownState.HELD, HoldReason.KEY_LIMIT, [])
    return story


def test_a_release_lets_it_go_on_though_the_limit_is_reached() -> None:
    story = held()
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.KEY_LIMIT)
    story.look(Outcome.PRESENT)
    assert (story.state(), len(story.takedown.demands), story.open_tasks()) == (TakedownState.OPEN, 1, set())


def test_no_other_look_does() -> None:
    story = held()
    story.decides(DecisionKind.RECHECK)
    story.look(Outcome.PRESENT)
    story.tell(MatchReceived(match=BY_KEY, target=TARGET))
    assert (story.state(), story.takedown.demands) == (TakedownState.HELD, ())


def test_it_goes_on_by_the_word_of_another_key() -> None:
    story = held()
    unsure = replace(BY_KEY, distance=30, assurance=Assurance.UNSEEN, reported_by="cd" * 8)
    story.tell(MatchReceived(match=unsure, target=TARGET))
    assert story.state() is TakedownState.HELD, "not sure enough to go on from"
    story.tell(MatchReceived(match=replace(BY_KEY, reported_by="cd" * 8), target=TARGET))
    assert (story.state(), story.open_tasks()) == (TakedownState.DISCOVERED, set())
    assert story.takedown.match.reported_by == "cd" * 8


def test_what_was_asked_for_is_asked_for_again_after_a_return() -> None:
    """A reappearance is no first demand."""
    story = Story.delivered(match=BY_KEY)
    story.around = REACHED
    story.confirm_gone()
    story.look(Outcome.PRESENT)
    assert story.state() is TakedownState.REAPPEARED


def test_the_key_is_erased_with_the_takedown() -> None:
    story = held()
    story.withdrawn()
    assert story.takedown.match.reported_by is None
    assert story.open_tasks() == set()
