"""Demands: what a host answers, and what a person decides about an open demand."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from services.notifier.domain.effects import OpenTask, SendMessage
from services.notifier.domain.events import (
    AnswerKind,
    AttemptEnded,
    DecisionMade,
    ResponseReason,
)
from services.notifier.domain.ladder import Posture, Routes
from services.notifier.domain.model import DemandState, MessageKind, Outcome, TakedownState, TaskKind
from services.notifier.domain.takedown import decision_refused
from shared.contracts.decisions import DecisionKind
from shared.policy import Policy
from tests.unit.notifier.takedown_story import (
    DAY,
    HOSTER,
    HOUR,
    MINUTE,
    SITE,
    START,
    Story,
    of_kind,
    surroundings,
)

# Answers


@pytest.mark.parametrize("reason", ["wrong_recipient", "not_hosted_here", "not_authorised", "legal"])
def test_a_decline_climbs_now(reason: str) -> None:
    story = Story.delivered()
    story.responds(ResponseReason(reason))
    first, second = story.takedown.demands
    assert (first.state, first.refusal) == (DemandState.REFUSED, reason)
    assert (second.recipient, second.rung.value) == ("hoster", "hosting_provider")


def test_a_second_decline_of_the_same_demand_climbs_no_further() -> None:
    story = Story.delivered()
    story.responds(ResponseReason.LEGAL)
    story.answer(AnswerKind.RESPONSE, ResponseReason.LEGAL, demand=story.takedown.demands[0])
    assert len(story.takedown.demands) == 2
    assert story.state() is TakedownState.OPEN


def test_insufficient_information_is_disputed_with_a_task() -> None:
    story = Story.delivered()
    story.responds(ResponseReason.INSUFFICIENT_INFORMATION)
    assert (story.demand.state, story.open_tasks()) == (DemandState.DISPUTED, {"dispute"})
    assert len(story.takedown.demands) == 1


def test_already_removed_is_looked_at_now() -> None:
    story = Story.delivered()
    story.later(MINUTE).responds(ResponseReason.ALREADY_REMOVED)
    assert (story.demand.state, story.check_at) == (DemandState.REPORTED_REMOVED, story.now)


def test_a_suggested_recipient_needs_a_person() -> None:
    story = Story.delivered()
    story.answer(AnswerKind.RESPONSE, ResponseReason.INSUFFICIENT_INFORMATION, suggests=True)
    assert "suggested_recipient" in story.open_tasks()
    assert {one.demand_id for one in story.sent} == {story.demand.demand_id}


@pytest.mark.parametrize("reason", [ResponseReason.CONSENT_CLAIMED, ResponseReason.NOT_NCII])
def test_a_dispute_of_the_content_makes_that_recipients_demand_wait_and_nobody_elses(reason: ResponseReason) -> None:
    story = Story.delivered()
    effects = story.responds(reason)
    task = of_kind(effects, OpenTask)[0]
    assert (task.kind.value, task.due, task.scope) == ("dispute", START + DAY, "content")
    assert (story.demand.state, story.demand.waits) == (DemandState.DISPUTED, True)
    story.later(36 * HOUR).fire_due_timers()
    story.look(Outcome.PRESENT)
    assert story.attempt() == [], "it is not reminded"
    story.later(36 * HOUR).fire_due_timers()
    story.look(Outcome.PRESENT)
    assert story.demand.recipient == "hoster", "its word is no other's"
    assert story.attempt() == [MessageKind.ISSUED]


def test_a_settled_dispute_is_reminded_again_and_the_same_word_opens_none() -> None:
    story = Story.delivered()
    story.responds(ResponseReason.CONSENT_CLAIMED)
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.DISPUTE)
    assert (story.demand.state, story.demand.waits) == (DemandState.DELIVERED, False)
    story.responds(ResponseReason.CONSENT_CLAIMED, settled_before=True)
    assert (story.demand.state, story.open_tasks()) == (DemandState.DELIVERED, set())
    assert story.happened("host.response")[-1].facts["settled_before"] is True
    story.later(36 * HOUR).fire_due_timers()
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.REMINDED]


def test_what_a_person_holds_for_the_whole_content_waits_at_every_recipient() -> None:
    story = Story.delivered()
    story.around = replace(story.around, content=replace(story.around.content, new_demands_held=True))
    story.later(72 * HOUR).fire_due_timers()
    story.look(Outcome.PRESENT)
    assert len(story.takedown.demands) == 1
    story.content(new_demands_held=False)
    story.look(Outcome.PRESENT)
    assert story.demand.recipient == "hoster"


def test_a_first_demand_of_disputed_content_is_held_until_it_is_settled() -> None:
    story = Story.matched()
    story.around = replace(story.around, content=replace(story.around.content, new_demands_held=True))
    story.look(Outcome.PRESENT)
    assert (story.state(), story.sent) == (TakedownState.HELD, [])
    story.content(new_demands_held=False)
    assert story.state() is TakedownState.DISCOVERED
    story.look(Outcome.PRESENT)
    assert story.state() is TakedownState.OPEN


def test_a_due_demand_of_disputed_content_does_not_go_out() -> None:
    story = Story.opened()
    story.around = replace(story.around, content=replace(story.around.content, new_demands_held=True))
    assert story.attempt() == []
    assert story.demand.parked
    story.content(new_demands_held=False)
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]


def test_an_answer_proves_the_delivery_and_starts_the_clock() -> None:
    story = Story.opened()
    story.attempt(AttemptEnded.TRANSIENT)
    story.answer(AnswerKind.ACKNOWLEDGEMENT)
    assert story.demand.state is DemandState.ACKNOWLEDGED
    assert story.demand.deadline == START + 72 * HOUR
    story.later(DAY)
    assert story.attempt() == []


def test_earlier_demands_stay_answerable() -> None:
    story = Story.delivered()
    story.later(72 * HOUR).fire_due_timers()
    story.look(Outcome.PRESENT)
    story.later(MINUTE).answer(AnswerKind.REMOVAL, demand=story.takedown.demands[0])
    assert story.takedown.demands[0].state is DemandState.REPORTED_REMOVED
    assert story.check_at == story.now


# People


def test_a_bounce_is_a_persons_decision_and_climbs() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.BOUNCED, demand_id=story.demand.demand_id)
    assert story.takedown.demands[0].state is DemandState.UNDELIVERABLE
    assert story.demand.recipient == "hoster"


def test_a_reroute_asks_whom_the_person_names() -> None:
    other = replace(HOSTER, key="other", name="Other", domains=("other.test",), posture=Posture.UNKNOWN)
    story = Story.delivered(around=surroundings(routes=Routes(organisations=(SITE, HOSTER, other))))
    story.decides(DecisionKind.REROUTE, recipient="other")
    assert story.demand.recipient == "other"
    assert story.attempt() == [MessageKind.ISSUED]


@pytest.mark.parametrize("posture", [Posture.HOSTILE])
def test_a_reroute_to_a_hostile_recipient_is_refused(posture: Posture) -> None:
    other = replace(HOSTER, key="other", domains=("other.test",), posture=posture)
    story = Story.delivered(around=surroundings(routes=Routes(organisations=(SITE, HOSTER, other))))
    story.decides(DecisionKind.REROUTE, recipient="other")
    assert "other" not in [one.recipient for one in story.takedown.demands]
    assert story.happened("reroute.refused")


def test_an_escalation_by_a_person_climbs_once() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.ESCALATE)
    assert [one.recipient for one in story.takedown.demands] == ["site", "hoster"]


def test_decisions_that_cannot_be_taken_say_why() -> None:
    story = Story.delivered()
    story.withdrawn()
    effects = story.decides(DecisionKind.RELEASE)
    assert of_kind(effects, SendMessage) == []
    assert story.happened("decision.refused")[0].facts["reason"] == "withdrawn"


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (DecisionKind.RELEASE, "not_held"),
        (DecisionKind.RESUME, "not_suspended"),
        (DecisionKind.REROUTE, "recipient_missing"),
        (DecisionKind.BOUNCED, "no_such_delivery"),
        (DecisionKind.ESCALATE, None),
        (DecisionKind.DISMISS, None),
    ],
)
def test_what_can_be_decided_on_an_open_takedown(kind: DecisionKind, why: str | None) -> None:
    decision = DecisionMade(decision_id=uuid4(), kind=kind, person_id="person-2")
    assert decision_refused(Story.opened().takedown, decision, START, Policy()) == why


def test_a_hold_is_not_released_while_suspended() -> None:
    story = Story.matched()
    story.look(Outcome.MISMATCH)
    story.decides(DecisionKind.SUSPEND)
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.FIRST_CHECK)
    story.decides(DecisionKind.RESUME)
    assert (story.state(), story.open_tasks()) == (TakedownState.HELD, {"first_check"})


def test_a_dispute_of_the_content_is_not_hidden_behind_a_question_of_the_host() -> None:
    """One task of a kind at a time: the one about the whole content takes the other's place."""
    story = Story.delivered()
    story.responds(ResponseReason.INSUFFICIENT_INFORMATION)
    effects = story.responds(ResponseReason.CONSENT_CLAIMED)
    opened = of_kind(effects, OpenTask)
    assert [(one.reason, one.scope, one.owner) for one in opened] == [("consent_claimed", "content", "helpline")]
    assert story.open_tasks() == {"dispute"}
    assert of_kind(story.responds(ResponseReason.NOT_NCII), OpenTask) == [], "its due time stands"
