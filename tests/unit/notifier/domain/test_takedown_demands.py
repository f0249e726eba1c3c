"""Demands: delivery, clocks, reminders, the ladder."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.notifier.domain.effects import SendMessage
from services.notifier.domain.events import (
    AttemptCompleted,
    AttemptEnded,
    DirectoryChanged,
    Refusal,
    ResponseReason,
    TermsChanged,
    TimerKind,
)
from services.notifier.domain.ladder import Routes
from services.notifier.domain.model import DemandState, MessageKind, Outcome, TakedownState
from services.notifier.domain.takedown import may_send
from services.notifier.store.takedown_json import from_json, to_json
from shared import ids
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
