"""Rule 4, as far as the takedown machine keeps it: how sure a comparison has to be before anybody is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.notifier.domain.events import (
    DirectoryChanged,
    FloodHeld,
    MatchReceived,
)
from services.notifier.domain.ladder import Posture, Routes
from services.notifier.domain.model import (
    MessageKind,
    Outcome,
    TakedownState,
    TaskKind,
)
from shared.contracts.content import Algorithm, Assurance
from shared.contracts.decisions import DecisionKind
from shared.contracts.matches import Guard
from tests.unit.notifier.takedown_story import (
    DAY,
    HOUR,
    MATCH,
    MINUTE,
    ROUTES,
    START,
    TARGET,
    Story,
    routes_with,
    surroundings,
)

# Rule 4: automatic only where sure


@pytest.mark.parametrize(
    ("assurance", "distance", "algorithm", "goes_on"),
    [
        (Assurance.VIEWED, 31, "pdq", True),
        (Assurance.VIEWED_WITH_SUBJECT, 31, "pdq", True),
        (Assurance.UNSEEN, 10, "pdq", True),
        (Assurance.UNSEEN, 11, "pdq", False),
        (Assurance.PARTNER, 11, "pdq", False),
        (Assurance.PARTNER, 0, "sha256", True),
    ],
)
def test_rule_4_thresholds_by_assurance(
    assurance: Assurance, distance: int, algorithm: Algorithm, goes_on: bool
) -> None:
    story = Story.matched(match=replace(MATCH, assurance=assurance, distance=distance, algorithm=algorithm))
    if goes_on:
        assert (story.state(), story.check_at) == (TakedownState.DISCOVERED, START)
    else:
        assert (story.state(), story.check_at) == (TakedownState.HELD, None)
        assert story.open_tasks() == {"low_assurance"}


def test_rule_4_what_our_own_check_saw_counts_as_well() -> None:
    story = Story.matched(match=replace(MATCH, assurance=Assurance.UNSEEN, distance=2))
    story.look(Outcome.PRESENT, distance=20, assurance=Assurance.UNSEEN)
    assert story.state() is TakedownState.HELD
    assert story.sent == []


@pytest.mark.parametrize(("distance", "goes_on"), [(10, True), (11, False)])
def test_rule_4_a_hash_of_unknown_quality_counts_to_10_only(distance: int, goes_on: bool) -> None:
    story = Story.matched(match=replace(MATCH, guards=(Guard.QUALITY_UNKNOWN,), quality=None, distance=distance))
    assert (story.state() is TakedownState.DISCOVERED) is goes_on


def test_rule_4_a_derived_orientation_needs_our_own_fetch_of_the_true_pixels() -> None:
    story = Story.matched(match=replace(MATCH, guards=(Guard.DERIVED_ORIENTATION,), orientation="mirror"))
    assert story.sent == []
    story.look(Outcome.MISMATCH)  # the true pixels do not agree
    assert story.state() is TakedownState.HELD
    assert story.sent == []


@pytest.mark.parametrize(("seen", "state"), [(3, TakedownState.OPEN), (20, TakedownState.HELD)])
def test_rule_4_what_our_fetch_saw_counts_and_not_how_near_a_derived_orientation_is(
    seen: int, state: TakedownState
) -> None:
    derived = replace(
        MATCH, guards=(Guard.DERIVED_ORIENTATION,), orientation="derived:mirror", assurance=Assurance.UNSEEN
    )
    for distance in (2, 25):
        story = Story.matched(match=replace(derived, distance=distance))
        assert (story.state(), story.check_at, story.sent) == (TakedownState.DISCOVERED, START, [])
        story.look(Outcome.PRESENT, distance=seen, assurance=Assurance.UNSEEN)
        assert story.state() is state


def test_rule_4_a_derived_orientation_does_not_let_a_held_one_go_on() -> None:
    story = Story.matched(match=replace(MATCH, assurance=Assurance.UNSEEN, distance=20))
    nearer = replace(MATCH, assurance=Assurance.UNSEEN, distance=3, guards=(Guard.DERIVED_ORIENTATION,))
    story.tell(MatchReceived(match=nearer, target=TARGET))
    assert story.state() is TakedownState.HELD


@pytest.mark.parametrize("guard", [Guard.LOW_QUALITY, Guard.OVER_THRESHOLD, Guard.NEGATIVE_LIST])
def test_rule_4_a_guarded_match_is_never_acted_on(guard: Guard) -> None:
    story = Story.matched(match=replace(MATCH, guards=(guard,)))
    assert (story.state(), story.check_at, story.sent) == (TakedownState.DISCOVERED, None, [])


def test_rule_4_a_surer_match_lets_a_held_one_go_on() -> None:
    story = Story.matched(match=replace(MATCH, assurance=Assurance.UNSEEN, distance=20))

    story.tell(MatchReceived(match=replace(MATCH, assurance=Assurance.UNSEEN, distance=3), target=TARGET))
    assert (story.state(), story.check_at) == (TakedownState.DISCOVERED, START)
    assert story.open_tasks() == set()


UNSURE: list[dict[str, Any]] = [
    {"distance": 11, "assurance": Assurance.UNSEEN},
    {"distance": 31, "assurance": Assurance.PARTNER},
    {"distance": 25, "assurance": Assurance.VIEWED, "guards": (Guard.QUALITY_UNKNOWN,)},
]
"""Looks that see something that agrees, and that rule 4 leaves to a person."""


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_a_reappearance_that_is_not_sure_is_a_persons(unsure: dict[str, Any]) -> None:
    story = Story.delivered()
    story.confirm_gone()
    sent = story.kinds_sent()
    story.look(Outcome.PRESENT, **unsure)
    assert (story.state(), story.kinds_sent(), story.open_tasks()) == (
        TakedownState.REAPPEARED,
        sent,
        {"low_assurance"},
    )
    for ask in (DecisionKind.RECHECK, DecisionKind.ESCALATE):
        story.decides(ask)
        story.look(Outcome.PRESENT, **unsure)
        assert story.kinds_sent() == sent
    story.decides(DecisionKind.REROUTE, recipient="hoster")
    assert story.kinds_sent() == sent
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.LOW_ASSURANCE)
    story.look(Outcome.PRESENT, **unsure)
    assert story.kinds_sent() == [*sent, MessageKind.ISSUED]
    assert (story.demand.recipient, story.demand.round, story.open_tasks()) == ("hoster", 2, set())


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_a_reappearance_that_a_later_look_is_sure_of_goes_on(unsure: dict[str, Any]) -> None:
    story = Story.delivered()
    story.confirm_gone()
    story.look(Outcome.PRESENT, **unsure)
    story.later(HOUR).look(Outcome.PRESENT)
    assert (story.kinds_sent()[-1], story.open_tasks()) == (MessageKind.REAPPEARED, set())


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_a_demand_that_waited_for_the_directory_rests_on_the_look_that_lets_it_go(
    unsure: dict[str, Any],
) -> None:
    """From open and, once nobody was left to ask, from unremoved; a sure look of a moment ago does not stand for it."""
    for routes, state in (
        (Routes(), TakedownState.OPEN),
        (routes_with(posture=Posture.HOSTILE, next_rung=None), TakedownState.UNREMOVED),
    ):
        story = Story.matched(around=surroundings(routes=routes))
        story.look(Outcome.PRESENT)
        assert (story.state(), story.sent) == (state, [])
        story.look(Outcome.PRESENT, **unsure)
        story.around = replace(story.around, routes=ROUTES)
        story.later(MINUTE).tell(DirectoryChanged())
        story.look(Outcome.PRESENT, **unsure)
        assert (story.state(), story.sent) == (state, [])
        assert "low_assurance" in story.open_tasks()
        story.decides(DecisionKind.RELEASE, task_kind=TaskKind.LOW_ASSURANCE)
        story.look(Outcome.PRESENT, **unsure)
        assert (story.state(), story.kinds_sent(), story.open_tasks()) == (
            TakedownState.OPEN,
            [MessageKind.ISSUED],
            set(),
        )


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_a_message_that_waited_too_long_rests_on_the_look_that_lets_it_go(unsure: dict[str, Any]) -> None:
    story = Story.opened().later(2 * HOUR)
    assert story.attempt() == []  # the look is too old
    story.look(Outcome.PRESENT, **unsure)
    assert (story.attempt(), story.open_tasks()) == ([], {"low_assurance"})
    assert story.check_at is not None
    assert story.check_at > story.now, "no look is due at once, for ever"
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.LOW_ASSURANCE)
    story.look(Outcome.PRESENT, **unsure)
    assert (story.attempt(), story.open_tasks()) == ([MessageKind.ISSUED], set())
    assert [one.recipient for one in story.takedown.demands] == ["site"]


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_a_message_that_is_due_does_not_leave_on_a_newer_look_that_is_not_sure(unsure: dict[str, Any]) -> None:
    story = Story.opened()
    story.later(MINUTE).look(Outcome.PRESENT, **unsure)
    assert (story.attempt(), story.open_tasks()) == ([], {"low_assurance"})
    story.later(MINUTE).look(Outcome.PRESENT)
    assert (story.attempt(), story.open_tasks()) == ([MessageKind.ISSUED], set())


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_a_second_look_after_gone_is_judged_as_well(unsure: dict[str, Any]) -> None:
    story = Story.opened().later(2 * HOUR)
    story.look(Outcome.GONE)
    assert story.state() is TakedownState.VERIFYING
    story.later(HOUR).look(Outcome.PRESENT, **unsure)
    assert (story.attempt(), story.open_tasks()) == ([], {"low_assurance"})


def test_rule_4_another_hold_takes_the_place_of_the_question_and_its_release_does_not_answer_it() -> None:
    story = Story.matched(around=surroundings(routes=Routes()))
    story.look(Outcome.PRESENT)
    story.look(Outcome.PRESENT, **UNSURE[0])
    story.tell(FloodHeld(hosts=21))
    assert "low_assurance" not in story.open_tasks()
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.FLOOD)
    story.look(Outcome.PRESENT, **UNSURE[0])
    assert (story.takedown.held_for, story.sent) == ("low_assurance", [])


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_what_was_demanded_when_it_was_sure_goes_on(unsure: dict[str, Any]) -> None:
    story = Story.delivered()
    story.later(4 * DAY).fire_due_timers()
    story.look(Outcome.PRESENT, **unsure)
    assert story.state() is TakedownState.OPEN
    assert [one.recipient for one in story.takedown.demands] == ["site", "hoster"]
