"""`possible_minor` from a recipient: our looks stop at once, what was asked goes on, and only a person decides more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.notifier.domain.effects import CancelCheck, OpenTask, PublishDecision
from services.notifier.domain.events import (
    AnswerKind,
    AttemptEnded,
    ContentView,
    DecisionMade,
    RemovalMethod,
    ResponseReason,
)
from services.notifier.domain.model import DemandState, HoldReason, MessageKind, Outcome, TakedownState, TaskKind
from services.notifier.domain.takedown import decision_refused
from shared.contracts.content import ContentState
from shared.contracts.decisions import DecisionKind
from shared.policy import Policy
from tests.unit.notifier.takedown_story import DAY, HOUR, MATCH, MINUTE, START, Story, of_kind, surroundings

MINOR = ResponseReason.POSSIBLE_MINOR
STOPPED = ContentView(state=ContentState.ACTIVE, fetching_stopped=True)


def test_issued_demands_are_reminded_and_climb_on_what_was_seen_last() -> None:
    story = Story.delivered()
    story.later(MINUTE).responds(MINOR)
    for _ in range(80):
        story.later(HOUR).attempt()
        story.fire_due_timers()
    story.attempt()
    assert [one.recipient for one in story.takedown.demands] == ["site", "hoster"]
    assert [one.state for one in story.takedown.demands] == [DemandState.EXPIRED, DemandState.DELIVERED]
    assert story.kinds_sent().count(MessageKind.REMINDED) == 2
    observed = story.demand.printed.observed
    assert observed is not None
    assert observed.at == START, "the notice says when it was seen"
    assert story.check_at is None, "and nothing was looked at"


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_look_that_was_under_way_counts_no_more(outcome: Outcome) -> None:
    story = Story.delivered()
    story.look(Outcome.GONE)
    story.responds(MINOR)
    story.later(HOUR).look(outcome)
    assert story.state() is TakedownState.VERIFYING, "nothing becomes removed"
    assert story.happened("check.ignored")
    assert story.check_at is None


def test_what_nobody_was_asked_about_is_held_and_begins_again_when_a_person_resumes() -> None:
    story = Story.matched()
    story.content(fetching_stopped=True)
    assert (story.state(), story.takedown.held_for) == (TakedownState.HELD, HoldReason.FETCHING_STOPPED)
    assert (story.check_at, story.open_tasks()) == (None, {"possible_minor"})
    story.content(fetching_stopped=False)
    assert (story.state(), story.check_at, story.open_tasks()) == (TakedownState.DISCOVERED, START, set())


def test_a_new_match_meanwhile_is_held_within_the_hour_of_a_person() -> None:
    story = Story.matched(around=surroundings(content=STOPPED))
    assert story.takedown.held_for is HoldReason.FETCHING_STOPPED
    assert story.check_at is None


def test_one_whose_match_is_not_sure_is_held_for_that_after_the_resumption() -> None:
    story = Story.matched(match=replace(MATCH, distance=40), around=surroundings(content=STOPPED))
    story.content(fetching_stopped=False)
    assert story.takedown.held_for is HoldReason.LOW_ASSURANCE


@pytest.mark.parametrize("kind", [DecisionKind.RELEASE, DecisionKind.RECHECK])
def test_no_release_of_one_copy_lifts_it(kind: DecisionKind) -> None:
    story = Story.matched(around=surroundings(content=STOPPED))
    story.decides(kind)
    assert story.happened("decision.refused")[-1].facts["reason"] == "fetching_stopped"
    assert story.state() is TakedownState.HELD


@pytest.mark.parametrize("kind", [DecisionKind.STOP_FETCHING, DecisionKind.RESUME_FETCHING, DecisionKind.HOLD])
def test_what_is_decided_of_a_content_is_not_decided_of_a_copy(kind: DecisionKind) -> None:
    story = Story.delivered()
    before = story.takedown
    story.decides(kind)
    assert story.happened("decision.refused")[-1].facts["reason"] == "needs_content"
    assert replace(story.takedown, sequence=0, changed_at=START) == replace(before, sequence=0, changed_at=START)


def test_a_first_demand_that_did_not_leave_yet_waits() -> None:
    story = Story.opened()
    story.content(fetching_stopped=True)
    assert story.attempt() == []
    assert (story.demand.state, story.demand.parked) == (DemandState.DUE, True)
    story.later(DAY).content(fetching_stopped=False)
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]


def test_a_first_demand_tried_in_vain_is_given_up_in_its_time() -> None:
    story = Story.opened()
    story.attempt(AttemptEnded.TRANSIENT)
    story.content(fetching_stopped=True)
    for _ in range(7):
        story.later(HOUR).attempt(AttemptEnded.TRANSIENT)
        story.fire_due_timers()
    assert story.takedown.demands[0].state is DemandState.UNDELIVERABLE
    assert story.demand.recipient == "hoster"


def test_what_was_seen_gone_before_does_not_climb() -> None:
    story = Story.delivered()
    story.look(Outcome.GONE)
    story.responds(MINOR)
    story.later(100 * HOUR).fire_due_timers()
    assert [one.recipient for one in story.takedown.demands] == ["site"]


def test_a_word_of_removal_is_kept_and_looked_at_after_the_resumption() -> None:
    story = Story.delivered()
    story.responds(MINOR)
    story.answer(AnswerKind.REMOVAL, method=RemovalMethod.DELETED)
    assert story.check_at is None
    story.later(HOUR).content(fetching_stopped=False)
    assert story.check_at == story.now
    story.confirm_gone()
    assert story.state() is TakedownState.REMOVED


@pytest.mark.parametrize("reach", ["open", "verifying", "removed", "unremoved"])
def test_what_is_looked_at_is_looked_at_again_after_the_resumption(reach: str) -> None:
    story = Story.delivered()
    if reach in ("verifying", "removed"):
        story.look(Outcome.GONE)
    if reach == "removed":
        story.later(HOUR).look(Outcome.GONE)
    if reach == "unremoved":
        story.responds(ResponseReason.LEGAL)
        story.deliver()
        story.responds(ResponseReason.LEGAL)
    assert story.state().value == reach
    effects = story.content(fetching_stopped=True)
    assert of_kind(effects, CancelCheck)
    story.later(DAY).content(fetching_stopped=False)
    assert (story.state().value, story.check_at) == (reach, story.now)


def test_the_same_word_after_a_persons_decision_changes_nothing() -> None:
    story = Story.delivered()
    story.responds(MINOR)
    story.content(fetching_stopped=False)
    assert story.open_tasks() == set()
    effects = story.responds(MINOR, settled_before=True)
    assert not of_kind(effects, PublishDecision)
    assert not of_kind(effects, OpenTask)
    assert story.check_at is not None
    again = story.responds(MINOR)  # another recipient's word is news
    assert of_kind(again, PublishDecision)
    assert story.takedown.task(TaskKind.POSSIBLE_MINOR) is not None


@pytest.mark.parametrize("reason", list(ResponseReason))
def test_a_closed_demands_token_reads_and_nothing_more(reason: ResponseReason) -> None:
    closed = Story.delivered()
    closed.confirm_gone()
    retracted = Story.delivered()
    retracted.decides(DecisionKind.DISMISS)
    for story in (closed, retracted):
        before = story.takedown
        effects = story.answer(AnswerKind.RESPONSE, reason, suggests=True)
        assert not of_kind(effects, PublishDecision)
        assert not of_kind(effects, OpenTask)
        assert (story.takedown.demands, story.takedown.tasks) == (before.demands, before.tasks)


def test_a_person_suspends_and_everything_stops() -> None:
    story = Story.delivered()
    story.responds(MINOR)
    story.content(state=ContentState.SUSPENDED, suspended_for="possible_minor")
    assert (story.state(), story.timers) == (TakedownState.SUSPENDED, {})


def test_the_word_for_it_is_one_that_the_api_knows() -> None:
    story = Story.matched(around=surroundings(content=STOPPED))
    made = DecisionMade(decision_id=story.takedown.takedown_id, kind=DecisionKind.RELEASE, person_id="p")
    assert decision_refused(story.takedown, made, story.now, Policy()) == "fetching_stopped"
