"""Rules 1 to 3, as far as the takedown machine keeps them: what has to be seen, and by whom, before a demand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.notifier.domain.effects import (
    CancelCheck,
    OpenTask,
    PublishDecision,
    SendMessage,
)
from services.notifier.domain.events import (
    FloodHeld,
    Refusal,
    ResponseReason,
)
from services.notifier.domain.model import (
    MessageKind,
    Outcome,
    TakedownState,
)
from services.notifier.domain.takedown import may_send
from shared.contracts.decisions import DecisionKind
from tests.unit.notifier.takedown_story import (
    DAY,
    HOUR,
    MATCH,
    MINUTE,
    START,
    Story,
    of_kind,
    removed_for,
)

# Rule 1: no demand on a sighting alone


def test_rule_1_a_match_alone_sends_nothing_and_makes_a_check_due_now() -> None:
    story = Story.matched()
    assert story.state() is TakedownState.DISCOVERED
    assert story.sent == []
    assert story.check_at == START


def test_rule_1_the_demand_follows_our_own_present_check() -> None:
    story = Story.matched()
    effects = story.look(Outcome.PRESENT)
    assert [one.kind for one in of_kind(effects, SendMessage)] == [MessageKind.ISSUED]
    assert story.demand.printed.observed is not None


def test_rule_1_gone_at_the_first_look_is_not_found_and_no_demand() -> None:
    story = Story.matched()
    story.look(Outcome.GONE)
    assert story.state() is TakedownState.VERIFYING
    story.later(HOUR).look(Outcome.GONE)
    assert (story.state(), removed_for(story)) == (TakedownState.REMOVED, "not_found")
    assert story.sent == []


def test_rule_1_gone_at_the_first_look_is_confirmed_too() -> None:
    story = Story.matched()
    story.look(Outcome.GONE, status=410)
    assert story.state() is TakedownState.VERIFYING
    story.later(HOUR).look(Outcome.GONE, status=410)
    assert (story.state(), removed_for(story)) == (TakedownState.REMOVED, "not_found")


def test_rule_1_other_media_is_held_with_a_task_and_no_demand() -> None:
    story = Story.matched()
    story.look(Outcome.MISMATCH)
    assert story.state() is TakedownState.HELD
    assert story.open_tasks() == {"first_check"}
    assert story.sent == []
    assert story.check_at is None


@pytest.mark.parametrize("outcome", [Outcome.BLOCKED, Outcome.INCONCLUSIVE])
def test_rule_1_blocked_or_inconclusive_is_tried_for_24_hours_then_held(outcome: Outcome) -> None:
    story = Story.matched()
    looks = 0
    while story.state() is TakedownState.DISCOVERED:
        assert story.check_at is not None
        assert story.check_at <= START + DAY
        story.now = max(story.check_at, story.now + timedelta(seconds=1))
        story.look(outcome)
        looks += 1
        assert looks < 500
    assert story.state() is TakedownState.HELD
    assert story.now >= START + DAY
    assert looks > 10
    assert story.open_tasks() == {"first_check"}
    assert story.sent == []


def test_rule_1_an_old_observation_holds_the_message_back_until_a_new_look() -> None:
    story = Story.opened()
    story.later(HOUR + MINUTE)
    assert story.attempt() == []
    assert story.demand.parked
    assert story.check_at == story.now
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]
    assert story.demand.printed.issued_at == story.now


def test_rule_1_a_held_back_message_is_dropped_when_the_content_is_gone_by_then() -> None:
    story = Story.opened()
    story.later(2 * HOUR).attempt()
    story.confirm_gone(status=410)
    assert story.attempt() == []
    assert story.state() is TakedownState.REMOVED
    assert story.kinds_sent() == [MessageKind.ISSUED]


def test_rule_1_the_next_rung_is_asked_on_a_fresh_look_only() -> None:
    story = Story.delivered()
    story.later(2 * HOUR).responds(ResponseReason.WRONG_RECIPIENT)
    assert len(story.takedown.demands) == 1
    assert story.check_at == story.now
    story.look(Outcome.PRESENT)
    assert story.demand.recipient == "hoster"


# Rule 2: no minors' images


def test_rule_2_a_possible_minor_stops_our_looks_at_once_and_pages_a_person() -> None:
    story = Story.delivered()
    effects = story.responds(ResponseReason.POSSIBLE_MINOR)
    assert story.state() is TakedownState.OPEN, "no recipient's word ends protection"
    assert [one.kind for one in of_kind(effects, PublishDecision)] == [DecisionKind.STOP_FETCHING]
    task = of_kind(effects, OpenTask)[0]
    assert (task.kind.value, task.scope, task.due) == ("possible_minor", "content", START + HOUR)
    assert of_kind(effects, CancelCheck)
    assert story.check_at is None
    assert story.timers, "its clock goes on"


def test_rule_2_the_task_survives_a_withdrawal() -> None:
    story = Story.delivered()
    story.responds(ResponseReason.POSSIBLE_MINOR)
    story.withdrawn()
    assert story.open_tasks() == {"possible_minor"}


# Rule 3: four eyes


def test_rule_3_who_asserted_a_match_cannot_release_it() -> None:
    story = Story.matched(match=replace(MATCH, basis="person", distance=None, algorithm=None, asserted_by="person-1"))
    assert story.state() is TakedownState.HELD
    story.decides(DecisionKind.RELEASE, person="person-1")
    assert story.state() is TakedownState.HELD
    assert story.happened("decision.refused")[0].facts["reason"] == "own_assertion"
    story.decides(DecisionKind.RELEASE, person="person-2")
    assert story.state() is TakedownState.DISCOVERED
    assert story.takedown.releases.reference_adopted


def test_rule_3_nor_after_a_recheck_that_holds_it_for_another_reason() -> None:
    story = Story.matched(match=replace(MATCH, basis="person", distance=None, algorithm=None, asserted_by="person-1"))
    story.decides(DecisionKind.RECHECK, person="person-1")
    story.look(Outcome.MISMATCH)
    assert story.takedown.held_for == "first_check"
    story.decides(DecisionKind.RELEASE, person="person-1")
    assert story.state() is TakedownState.HELD
    assert not story.takedown.releases.reference_adopted


# Rule 1: clocks that are wrong


def test_rule_1_a_look_from_the_future_is_no_fresh_look() -> None:
    """The database's clock was set back: how old the look is, nobody knows."""
    story = Story.opened()
    asked = (story.takedown, story.demand.demand_id, MessageKind.ISSUED)
    assert may_send(*asked, START - MINUTE, story.policy, story.around) is Refusal.STALE_OBSERVATION
    assert may_send(*asked, START + MINUTE, story.policy, story.around) is None


def test_another_look_is_no_release_from_the_flood_guard() -> None:
    story = Story.matched()
    story.tell(FloodHeld(hosts=21))
    story.decides(DecisionKind.RECHECK)
    assert (story.state(), story.open_tasks()) == (TakedownState.HELD, {"flood"})
    story.decides(DecisionKind.RELEASE)
    story.look(Outcome.PRESENT)
    assert story.state() is TakedownState.OPEN
