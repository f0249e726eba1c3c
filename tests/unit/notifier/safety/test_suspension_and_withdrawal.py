"""Rule 7, as far as the takedown machine keeps it: suspension, withdrawal, rejection, and what those who were asked hear of it."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from services.notifier.domain.effects import (
    EraseTarget,
    RecordRejection,
    SendMessage,
)
from services.notifier.domain.events import (
    AttemptCompleted,
    AttemptEnded,
    ContentView,
    MatchReceived,
    Refusal,
    ResponseReason,
)
from services.notifier.domain.ladder import Posture
from services.notifier.domain.model import (
    DemandState,
    MessageKind,
    Outcome,
    Retraction,
    RetractionReason,
    TakedownState,
)
from services.notifier.domain.takedown import may_send
from shared.contracts.content import ContentState
from shared.contracts.decisions import DecisionKind
from tests.unit.notifier.takedown_story import (
    HOUR,
    MATCH,
    MINUTE,
    TARGET,
    Story,
    of_kind,
    routes_with,
    surroundings,
)

# Rule 7: a person can undo


def test_rule_7_suspension_stops_and_a_resumption_looks_before_anything_is_sent() -> None:
    story = Story.opened()
    story.content(state=ContentState.SUSPENDED, suspended_for="person")
    assert (story.state(), story.check_at, story.timers) == (TakedownState.SUSPENDED, None, {})
    assert story.attempt() == []
    story.later(10 * MINUTE).content(state=ContentState.ACTIVE)
    assert (story.state(), story.check_at) == (TakedownState.OPEN, story.now)
    assert story.attempt() == []
    story.later(MINUTE).look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]


def test_rule_7_a_look_begun_before_the_suspension_is_no_look_after_the_resumption() -> None:
    story = Story.opened()
    before = story.now
    story.content(state=ContentState.SUSPENDED)
    story.later(MINUTE).content(state=ContentState.ACTIVE)
    story.look(Outcome.PRESENT, started_at=before)
    assert story.attempt() == []
    assert story.check_at == story.now


def test_rule_7_a_suspended_content_stops_at_the_attempt_even_before_its_takedown_heard_of_it() -> None:
    story = Story.opened()
    story.around = replace(story.around, content=ContentView(state=ContentState.SUSPENDED))
    assert story.attempt() == []


def test_rule_7_every_message_waits_while_suspended_and_none_is_lost() -> None:
    story = Story.delivered()
    story.confirm_gone()
    closed = story.demand.demand_id
    story.content(state=ContentState.SUSPENDED)
    refused = may_send(story.takedown, closed, MessageKind.CLOSED, story.now, story.policy, story.around)
    assert refused is Refusal.SUSPENDED
    assert story.attempt() == []
    story.content(state=ContentState.ACTIVE)
    assert story.attempt() == [MessageKind.CLOSED]


def test_rule_7_a_retraction_waits_while_the_content_is_suspended() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.REJECT)
    story.later(HOUR)  # one person's rejection is told a while later
    story.content(state=ContentState.SUSPENDED)
    assert story.attempt() == []
    story.content(state=ContentState.ACTIVE)
    assert story.attempt() == [MessageKind.RETRACTED]


def test_rule_7_withdrawal_by_the_subject_tells_open_recipients_alone_and_erases() -> None:
    story = Story.delivered()
    story.responds(ResponseReason.LEGAL)  # refused; the hoster is asked
    story.deliver()
    effects = story.withdrawn("subject_request")
    told = of_kind(effects, SendMessage)
    assert [(one.kind, one.demand_id) for one in told] == [(MessageKind.RETRACTED, story.demand.demand_id)]
    assert story.takedown.retraction is RetractionReason.NO_FURTHER_ACTION
    assert of_kind(effects, EraseTarget)
    assert story.takedown.target is None
    assert story.takedown.match.fingerprint_ref is None
    assert all(one.printed.observed is None for one in story.takedown.demands)
    assert story.attempt() == [MessageKind.RETRACTED]


@pytest.mark.parametrize("reason", ["not_ncii", "wrong_content"])
def test_rule_7_an_error_is_told_to_everybody_asked(reason: str) -> None:
    story = Story.delivered()
    story.responds(ResponseReason.LEGAL)
    story.deliver()
    effects = story.withdrawn(reason)
    assert len(of_kind(effects, SendMessage)) == 2
    assert story.takedown.retraction is RetractionReason.SENT_IN_ERROR


@pytest.mark.parametrize("reason", ["subject_request", "not_ncii"])
def test_rule_7_hostile_recipients_hear_nothing(reason: str) -> None:
    story = Story.delivered()
    story.around = replace(story.around, routes=routes_with(posture=Posture.HOSTILE))
    effects = story.withdrawn(reason)
    assert of_kind(effects, SendMessage) == []
    assert story.takedown.demands[0].state is DemandState.RETRACTED


def test_rule_7_who_never_heard_of_a_demand_hears_no_retraction() -> None:
    story = Story.opened()
    assert of_kind(story.withdrawn(), SendMessage) == []


def test_rule_7_a_demand_that_arrives_during_the_withdrawal_is_taken_back() -> None:
    story = Story.opened()
    row = story.due()[0]
    story.withdrawn()

    effects = story.tell(
        AttemptCompleted(
            attempt_id=uuid4(),
            message_id=row.effect.message_id,
            demand_id=row.effect.demand_id,
            kind=MessageKind.ISSUED,
            number=0,
            attempt=1,
            started_at=story.now,
            outcome=AttemptEnded.ACCEPTED,
        )
    )
    assert [one.kind for one in of_kind(effects, SendMessage)] == [MessageKind.RETRACTED]


def test_rule_7_a_rejected_match_is_retracted_and_remembered() -> None:
    story = Story.delivered()
    effects = story.decides(DecisionKind.REJECT)
    assert story.state() is TakedownState.REJECTED
    assert [one.content_id for one in of_kind(effects, RecordRejection)] == [story.takedown.content_id]
    assert [one.kind for one in of_kind(effects, SendMessage)] == [MessageKind.RETRACTED]
    assert story.takedown.retraction is RetractionReason.SENT_IN_ERROR


def test_rule_7_a_rejection_covers_the_same_picture_at_another_url() -> None:
    story = Story.matched(around=surroundings(rejected=True))
    assert (story.state(), story.check_at) == (TakedownState.REJECTED, None)


def test_rule_7_another_picture_at_a_rejected_target_waits_for_a_person() -> None:

    story = Story.delivered()
    story.decides(DecisionKind.REJECT)
    story.tell(MatchReceived(match=replace(MATCH, fingerprint_ref="cd" * 32), target=TARGET))
    assert (story.state(), story.check_at) == (TakedownState.HELD, None)


# Rule 7: who was told something milder, or nothing yet, still hears that it was an error


def test_rule_7_who_was_told_of_a_dismissal_hears_of_an_error_found_later() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.DISMISS)
    assert story.attempt() == [MessageKind.RETRACTED]
    words = [story.demand.retraction]
    story.withdrawn("not_ncii")
    assert story.attempt() == [MessageKind.RETRACTED], "a message of its own, with the other words"
    words.append(story.demand.retraction)
    assert words == [
        Retraction(words=RetractionReason.NO_FURTHER_ACTION, number=0),
        Retraction(words=RetractionReason.SENT_IN_ERROR, number=1),
    ]
    story.content()
    assert story.attempt() == [], "told once"


def test_rule_7_a_retraction_not_sent_yet_outlives_another_match_and_a_second_end() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.REJECT)
    story.later(HOUR)  # one person's rejection is told a while later
    story.tell(MatchReceived(match=replace(MATCH, fingerprint_ref="cd" * 32), target=TARGET))
    assert story.state() is TakedownState.HELD
    story.decides(DecisionKind.DISMISS)
    assert story.attempt() == [MessageKind.RETRACTED]
    retraction = story.demand.retraction
    assert retraction is not None
    assert (retraction.words, retraction.number) == (RetractionReason.SENT_IN_ERROR, 0), "the words of its own end"


def test_rule_7_a_retraction_of_an_earlier_round_waits_for_the_resumption_and_is_sent() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.REJECT)
    story.later(HOUR)  # one person's rejection is told a while later
    story.tell(MatchReceived(match=replace(MATCH, fingerprint_ref="cd" * 32), target=TARGET))
    story.content(state=ContentState.SUSPENDED, suspended_for="person")
    assert story.attempt() == []
    story.content(state=ContentState.ACTIVE, suspended_for=None)
    assert story.attempt() == [MessageKind.RETRACTED]


@pytest.mark.parametrize("outcome", [AttemptEnded.TRANSIENT, AttemptEnded.UNKNOWN])
def test_rule_7_a_first_message_whose_arrival_is_not_known_is_taken_back(outcome: AttemptEnded) -> None:
    """A time-out or a broken connection during the withdrawal: it may have been read."""
    story = Story.opened()
    row = story.due()[0]
    story.withdrawn("not_ncii")
    assert story.kinds_sent() == [MessageKind.ISSUED]
    story.tell(
        AttemptCompleted(
            attempt_id=uuid4(),
            message_id=row.effect.message_id,
            demand_id=row.effect.demand_id,
            kind=MessageKind.ISSUED,
            number=0,
            attempt=1,
            started_at=story.now,
            outcome=outcome,
            detail="timed_out",
        )
    )
    assert story.kinds_sent() == [MessageKind.ISSUED, MessageKind.RETRACTED]


@pytest.mark.parametrize("refusal", [Refusal.NO_CHANNEL, Refusal.UNKNOWN_RECIPIENT])
def test_rule_7_a_retraction_that_nothing_can_carry_is_a_persons(refusal: Refusal) -> None:
    story = Story.delivered()
    story.decides(DecisionKind.REJECT)
    story.later(HOUR)  # one person's rejection is told a while later
    story.refuse(story.due()[0], refusal)
    assert "undeliverable" in story.open_tasks()


def test_rule_7_a_rejected_picture_does_not_end_a_takedown_found_by_another() -> None:
    """The rejection is of (content, fingerprint_ref), not of the place."""
    story = Story.matched()
    other = replace(MATCH, fingerprint_ref="cd" * 32)
    story.around = replace(story.around, rejected=True)
    story.tell(MatchReceived(match=other, target=TARGET))
    assert story.state() is TakedownState.DISCOVERED
    story.around = replace(story.around, rejected=False)
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]


def test_rule_7_after_a_dismissal_nobody_is_told_that_it_is_back() -> None:
    """It was never removed: the new round's message is a demand like the first."""
    story = Story.delivered()
    story.decides(DecisionKind.DISMISS)
    story.attempt()
    story.decides(DecisionKind.RECHECK)
    story.look(Outcome.PRESENT)
    assert (story.takedown.round, story.attempt()) == (2, [MessageKind.ISSUED])


# What a person has not released


def test_rule_7_another_look_is_no_release_of_another_picture_at_a_rejected_target() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.REJECT)
    story.tell(MatchReceived(match=replace(MATCH, fingerprint_ref="cd" * 32), target=TARGET))
    story.attempt()
    story.decides(DecisionKind.RECHECK)
    assert story.happened("decision.refused")[-1].facts["reason"] == "needs_release"
    assert (story.state(), story.check_at) == (TakedownState.HELD, None)
    story.decides(DecisionKind.RELEASE)
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]
