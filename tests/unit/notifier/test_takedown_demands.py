"""Demands: delivery, clocks, reminders, answers, the ladder."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.notifier.domain.effects import OpenTask, SendMessage
from services.notifier.domain.events import (
    AnswerKind,
    AttemptCompleted,
    AttemptEnded,
    DecisionMade,
    DirectoryChanged,
    Refusal,
    ResponseReason,
    TermsChanged,
    TimerKind,
)
from services.notifier.domain.ladder import Posture, Routes
from services.notifier.domain.model import DemandState, MessageKind, Outcome, TakedownState, TaskKind
from services.notifier.domain.takedown import decision_refused, may_send
from services.notifier.store.takedown_json import from_json, to_json
from shared import ids
from shared.contracts.decisions import DecisionKind
from shared.policy import Policy
from tests.unit.notifier.takedown_story import (
    DAY,
    HOSTER,
    HOUR,
    MINUTE,
    SITE,
    START,
    TAKEDOWN,
    Row,
    Story,
    of_kind,
    surroundings,
)


def accepted(row: Row, now: datetime) -> AttemptCompleted:
    """An attempt under way that ends well, whatever happened meanwhile."""
    return AttemptCompleted(
        attempt_id=uuid4(),
        message_id=row.effect.message_id,
        demand_id=row.effect.demand_id,
        kind=row.effect.kind,
        number=0,
        attempt=9,
        started_at=now,
        outcome=AttemptEnded.ACCEPTED,
    )


BOUND = surroundings(routes=Routes(organisations=(replace(SITE, bound_by=("uk_osa_20a",)), HOSTER)))


def test_ids_are_the_shared_ones() -> None:
    story = Story.opened()
    assert story.demand.demand_id == ids.demand_id(TAKEDOWN, "site_operator", "site", 1)
    assert story.sent[0].message_id == ids.message_id(story.demand.demand_id, "demand.issued", 0)


def test_the_state_survives_json() -> None:
    story = Story.delivered()
    story.says_removed()
    assert from_json(to_json(story.takedown)) == story.takedown


# Delivery and the clock


def test_the_clock_starts_at_the_first_accepted_delivery() -> None:
    story = Story.opened(around=BOUND)
    story.attempt(AttemptEnded.TRANSIENT)
    story.later(20 * MINUTE).attempt()
    assert story.demand.state is DemandState.DELIVERED
    first = story.demand.delivery
    assert first is not None
    assert first.at == START + 20 * MINUTE
    assert isinstance(first.attempt_id, UUID)
    assert story.demand.deadline == START + 20 * MINUTE + 48 * HOUR
    kinds = {kind: at - first.at for (kind, _, number), at in story.timers.items() if number != 2}
    assert kinds == {TimerKind.REMINDER: 24 * HOUR, TimerKind.DEADLINE: 48 * HOUR}


def test_an_unknown_outcome_is_sent_again_with_the_same_id() -> None:
    story = Story.opened()
    story.attempt(AttemptEnded.UNKNOWN)
    assert len({one.message_id for one in story.sent}) == 1
    assert len(story.sent) == 2


def test_retries_until_6_hours_then_the_next_rung_and_not_a_missed_deadline() -> None:
    story = Story.opened()
    attempts = 0
    while story.demand.recipient == "site":
        waiting = [one.due for one in story.rows.values() if one.due is not None and not one.ended]
        timers = list(story.timers.values())
        assert waiting or timers or story.check_at
        story.now = max(story.now, min([*waiting, *timers, *([story.check_at] if story.check_at else [])]))
        if story.check_at is not None and story.check_at <= story.now:
            story.look(Outcome.PRESENT)
        attempts += len(story.attempt(AttemptEnded.TRANSIENT))
        story.fire_due_timers()
        assert attempts < 200
    assert START + 6 * HOUR <= story.now <= START + 6 * HOUR + MINUTE
    assert attempts > 12
    assert story.takedown.demands[0].state is DemandState.UNDELIVERABLE
    assert story.happened("demand.expired") == []
    assert len({one.message_id for one in story.sent}) == 2


def test_down_past_the_6_hours_attempts_once_then_escalates() -> None:
    story = Story.opened()
    story.later(9 * HOUR).fire_due_timers()
    assert story.demand.state is DemandState.DUE
    story.look(Outcome.PRESENT)
    assert story.attempt(AttemptEnded.TRANSIENT) == [MessageKind.ISSUED]


def test_retry_that_fails_after_the_time_is_up_escalates_and_records_the_lateness() -> None:
    story = Story.opened()
    story.attempt(AttemptEnded.TRANSIENT)
    story.later(8 * HOUR).look(Outcome.PRESENT)
    story.attempt(AttemptEnded.TRANSIENT)
    assert story.happened("demand.undelivered")[0].facts["late_seconds"] == 2 * 3600
    assert story.demand.recipient == "hoster"


@pytest.mark.parametrize("detail", ["410", "disabled"])
def test_a_permanent_failure_moves_up_the_ladder(detail: str) -> None:
    story = Story.opened()
    story.attempt(AttemptEnded.PERMANENT, detail=detail)
    assert story.takedown.demands[0].state is DemandState.UNDELIVERABLE
    assert story.demand.recipient == "hoster"
    assert "undeliverable" in story.open_tasks()


def test_retry_after_is_kept_within_the_time() -> None:
    story = Story.opened()
    story.attempt(AttemptEnded.TRANSIENT, retry_after_seconds=1800.0)
    assert story.sent[-1].due == START + 30 * MINUTE


def test_a_deadline_passed_while_down_is_late_and_escalates_after_a_look() -> None:
    story = Story.delivered(around=BOUND)
    story.later(50 * HOUR).fire_due_timers()
    assert story.demand.state is DemandState.EXPIRED
    assert story.happened("demand.expired")[0].facts["late_seconds"] == 2 * 3600
    assert MessageKind.REMINDED not in story.kinds_sent()
    story.look(Outcome.PRESENT)
    assert story.demand.recipient == "hoster"


def test_reminders_at_half_and_nine_tenths_after_a_fresh_look() -> None:
    story = Story.delivered(around=BOUND)
    story.later(24 * HOUR).fire_due_timers()
    assert MessageKind.REMINDED not in story.kinds_sent()
    assert story.check_at is not None
    assert story.check_at <= story.now
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.REMINDED]
    story.now = START + 48 * HOUR * 0.9
    story.fire_due_timers()
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.REMINDED]
    assert [one.number for one in story.sent if one.kind is MessageKind.REMINDED] == [1, 2]


def test_no_reminder_for_what_is_gone() -> None:
    story = Story.delivered()
    story.later(36 * HOUR).fire_due_timers()
    story.confirm_gone(status=410)
    assert MessageKind.REMINDED not in story.kinds_sent()


def test_the_last_rung_expired_is_unremoved_and_still_checked() -> None:
    story = Story.delivered()
    for _ in range(2):
        story.later(72 * HOUR).fire_due_timers()
        story.look(Outcome.PRESENT)
        story.attempt()
    assert story.state() is TakedownState.UNREMOVED
    assert story.open_tasks() == {"ladder_exhausted"}
    assert story.check_at is not None
    story.later(DAY).confirm_gone(status=410)
    assert story.state() is TakedownState.REMOVED
    assert story.open_tasks() == set()


def test_a_larger_directory_lets_an_exhausted_ladder_go_on() -> None:
    alone = surroundings(routes=Routes(organisations=(replace(SITE, next_rung=None),)))
    story = Story.delivered(around=alone)
    story.responds(ResponseReason.NOT_HOSTED_HERE)
    assert story.state() is TakedownState.UNREMOVED
    story.around = surroundings()
    story.tell(DirectoryChanged())
    story.look(Outcome.PRESENT)
    assert (story.state(), story.demand.recipient) == (TakedownState.OPEN, "hoster")
    assert story.open_tasks() == set()


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
    assert decision_refused(Story.opened().takedown, decision) == why


def test_a_hold_is_not_released_while_suspended() -> None:
    story = Story.matched()
    story.look(Outcome.MISMATCH)
    story.decides(DecisionKind.SUSPEND)
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.FIRST_CHECK)
    story.decides(DecisionKind.RESUME)
    assert (story.state(), story.open_tasks()) == (TakedownState.HELD, {"first_check"})


# At the attempt


def test_may_send_refuses_what_is_over() -> None:
    story = Story.delivered()
    demand = story.demand.demand_id
    assert may_send(story.takedown, demand, MessageKind.ISSUED, story.now, story.policy, story.around) is Refusal.ENDED
    assert may_send(story.takedown, demand, MessageKind.REMINDED, story.now, story.policy, story.around) is None
    story.confirm_gone()
    for kind in (MessageKind.ISSUED, MessageKind.REMINDED, MessageKind.STILL_PRESENT, MessageKind.RETRACTED):
        assert may_send(story.takedown, demand, kind, story.now, story.policy, story.around) is Refusal.ENDED
    assert may_send(story.takedown, demand, MessageKind.CLOSED, story.now, story.policy, story.around) is None


def test_a_recipient_without_a_channel_is_passed_over_with_a_task() -> None:
    routes = Routes(organisations=(replace(SITE, channel=None), HOSTER))
    story = Story.opened(around=surroundings(routes=routes))
    assert story.demand.recipient == "hoster"
    assert story.open_tasks() == {"undeliverable"}


def test_a_later_demands_not_before_is_heard_of() -> None:
    story = Story.matched(around=surroundings(terms=None))
    assert story.check_at is None
    story.around = surroundings()
    story.tell(TermsChanged())
    assert story.check_at == story.now


def test_printed_times_are_never_scaled() -> None:
    story = Story.opened(policy=Policy(clock_scale=0.001))
    assert story.demand.printed.requested_by == START + 72 * HOUR
    story.deliver()
    assert story.demand.deadline == START + timedelta(hours=72) * 0.001
    law = Story.opened(policy=Policy(clock_scale=0.001), around=BOUND)
    assert law.demand.printed.respond_within_seconds == 48 * 3600
    law.deliver()
    assert law.demand.deadline == START + timedelta(hours=48) * 0.001


def test_a_delivery_that_is_accepted_after_all_is_recorded_and_stays_escalated() -> None:
    story = Story.opened()
    row = story.due()[0]
    story.attempt(AttemptEnded.TRANSIENT)
    story.later(7 * HOUR).look(Outcome.PRESENT)
    story.fire_due_timers()
    assert story.takedown.demands[0].state is DemandState.UNDELIVERABLE
    story.tell(accepted(row, story.now))
    assert [one.state for one in story.takedown.demands] == [DemandState.DELIVERED, DemandState.DUE]
    assert [one.recipient for one in story.takedown.demands] == ["site", "hoster"]


def test_a_delivery_that_is_accepted_after_the_removal_is_closed() -> None:
    story = Story.opened()
    row = story.due()[0]
    story.attempt(AttemptEnded.PERMANENT, detail="410")
    story.confirm_gone(status=410)
    effects = story.tell(accepted(row, story.now))
    assert story.takedown.demands[0].state is DemandState.CLOSED
    assert [one.kind for one in of_kind(effects, SendMessage)] == [MessageKind.CLOSED]


def test_a_dispute_of_the_content_is_not_hidden_behind_a_question_of_the_host() -> None:
    """One task of a kind at a time: the one about the whole content takes the other's place."""
    story = Story.delivered()
    story.responds(ResponseReason.INSUFFICIENT_INFORMATION)
    effects = story.responds(ResponseReason.CONSENT_CLAIMED)
    opened = of_kind(effects, OpenTask)
    assert [(one.reason, one.scope, one.owner) for one in opened] == [("consent_claimed", "content", "helpline")]
    assert story.open_tasks() == {"dispute"}
    assert of_kind(story.responds(ResponseReason.NOT_NCII), OpenTask) == [], "its due time stands"


# Our own mail server


@pytest.mark.parametrize("hours", [1, 7, 30])
def test_while_our_own_mail_server_refuses_us_nobody_else_is_asked(hours: int) -> None:
    story = Story.opened()
    for _ in range(hours * 4):
        story.attempt(AttemptEnded.TRANSIENT, own_fault=True, detail="mail_server_refused")
        story.later(15 * MINUTE)
        story.look(Outcome.PRESENT)
        story.fire_due_timers()
    assert {one.recipient for one in story.takedown.demands} == {"site"}
    assert (story.demand.state, story.open_tasks()) == (DemandState.DUE, set())
    story.later(HOUR)
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]
    assert story.demand.state is DemandState.DELIVERED


def test_after_our_own_fault_a_recipient_that_is_not_reached_is_left_for_the_next_as_ever() -> None:
    story = Story.opened()
    story.attempt(AttemptEnded.TRANSIENT, own_fault=True)
    for _ in range(4 * 8):
        story.later(15 * MINUTE)
        story.look(Outcome.PRESENT)
        story.attempt(AttemptEnded.TRANSIENT)
        story.fire_due_timers()
    assert {one.recipient for one in story.takedown.demands} == {"site", "hoster"}


def test_a_later_message_is_tried_for_as_long_as_the_fault_is_ours() -> None:
    story = Story.delivered()
    story.withdrawn("not_ncii")
    for _ in range(40):
        story.later(HOUR).attempt(AttemptEnded.TRANSIENT, own_fault=True)
    assert story.open_tasks() == set()
    assert story.later(HOUR).attempt() == [MessageKind.RETRACTED]
