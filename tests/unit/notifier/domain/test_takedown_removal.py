"""Removal is confirmed, not claimed: what checks mean, and what follows a removal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.notifier.domain.check_results import combined
from services.notifier.domain.effects import SendMessage
from services.notifier.domain.events import (
    AnswerKind,
    AttemptEnded,
    RemovalMethod,
    ResponseReason,
)
from services.notifier.domain.model import DemandState, MessageKind, Outcome, TakedownState
from shared.contracts.decisions import DecisionKind
from shared.policy import Policy
from tests.unit.notifier.takedown_story import (
    DAY,
    HOUR,
    MINUTE,
    START,
    TARGET,
    Story,
    of_kind,
    removed_for,
)


def test_gone_once_is_verifying_and_twice_an_hour_apart_is_removed() -> None:
    story = Story.delivered()
    story.look(Outcome.GONE)
    assert (story.state(), story.check_at) == (TakedownState.VERIFYING, START + HOUR)
    story.later(30 * MINUTE).look(Outcome.GONE)
    assert (story.state(), story.check_at) == (TakedownState.VERIFYING, START + HOUR)
    story.later(30 * MINUTE).look(Outcome.GONE)
    assert (story.state(), removed_for(story)) == (TakedownState.REMOVED, "gone")


@pytest.mark.parametrize("status", [404, 410, 200, None])
def test_no_status_confirms_alone(status: int | None) -> None:
    """A browser shows a picture that is sent with 410."""
    story = Story.delivered()
    story.look(Outcome.GONE, status=status)
    assert (story.state(), story.check_at) == (TakedownState.VERIFYING, START + HOUR)
    story.later(HOUR - MINUTE).look(Outcome.GONE, status=status)
    assert story.state() is TakedownState.VERIFYING
    story.later(MINUTE).look(Outcome.GONE, status=status)
    assert (story.state(), removed_for(story)) == (TakedownState.REMOVED, "gone")


def test_other_media_after_our_own_present_is_replaced() -> None:
    story = Story.delivered()
    story.look(Outcome.MISMATCH)
    assert story.state() is TakedownState.VERIFYING
    story.later(HOUR).look(Outcome.MISMATCH)
    assert (story.state(), removed_for(story)) == (TakedownState.REMOVED, "replaced")


def test_seen_again_while_verifying_goes_on_where_it_was() -> None:
    story = Story.delivered()
    story.look(Outcome.GONE)
    story.later(HOUR).look(Outcome.PRESENT)
    assert story.state() is TakedownState.OPEN
    story.later(HOUR).look(Outcome.GONE)
    assert story.state() is TakedownState.VERIFYING


def test_a_deadline_that_passes_while_verifying_escalates_only_if_it_is_seen_again() -> None:
    story = Story.delivered()
    deadline = story.demand.deadline
    assert deadline is not None
    story.now = deadline - MINUTE
    story.look(Outcome.GONE)
    story.later(HOUR).fire_due_timers()
    assert story.demand.state is DemandState.DELIVERED
    story.look(Outcome.PRESENT)
    assert story.takedown.demands[0].state is DemandState.EXPIRED
    assert story.demand.recipient == "hoster"


NO_SUCH_DOMAIN: dict[str, Any] = {"status": None, "reason": "no_such_domain", "no_such_domain": True}


def test_a_host_that_does_not_exist_for_14_days_is_a_dead_site() -> None:
    story = Story.delivered()
    story.later(HOUR).look(Outcome.INCONCLUSIVE, **NO_SUCH_DOMAIN)
    story.later(14 * DAY - MINUTE).look(Outcome.INCONCLUSIVE, **NO_SUCH_DOMAIN)
    assert story.state() is not TakedownState.REMOVED
    story.later(MINUTE).look(Outcome.INCONCLUSIVE, **NO_SUCH_DOMAIN)
    assert (story.state(), removed_for(story)) == (TakedownState.REMOVED, "site_dead")


@pytest.mark.parametrize(
    "reason", ["connect_failure", "dns_failure", "timed_out", "connection_lost", "tls_failure", "host_busy", "status"]
)
def test_no_answer_at_all_never_ends_a_takedown(reason: str) -> None:
    """A host that drops our packets must not win: whatever is no authoritative NXDOMAIN says nothing, for ever."""
    story = Story.delivered()
    for _ in range(60):
        story.later(DAY).look(Outcome.INCONCLUSIVE, status=None, reason=reason)
        assert story.state() in (TakedownState.OPEN, TakedownState.UNREMOVED)
        assert story.check_at is not None
    assert {"silent"} <= story.open_tasks()


@pytest.mark.parametrize(
    ("outcome", "facts"),
    [
        (Outcome.BLOCKED, {"status": 403}),
        (Outcome.INCONCLUSIVE, {"status": None, "reason": "connect_failure"}),
        (Outcome.INCONCLUSIVE, {"status": None, "reason": "dns_failure"}),
    ],
)
def test_anything_else_in_between_starts_the_14_days_again(outcome: Outcome, facts: dict[str, Any]) -> None:
    story = Story.delivered()
    story.later(HOUR).look(Outcome.INCONCLUSIVE, **NO_SUCH_DOMAIN)
    story.later(7 * DAY).look(outcome, **facts)
    story.later(7 * DAY).look(Outcome.INCONCLUSIVE, **NO_SUCH_DOMAIN)
    assert story.state() is not TakedownState.REMOVED


@pytest.mark.parametrize(
    ("media", "page", "together"),
    [
        (Outcome.GONE, None, Outcome.GONE),
        (Outcome.GONE, Outcome.GONE, Outcome.GONE),
        (Outcome.GONE, Outcome.MISMATCH, Outcome.GONE),
        (Outcome.MISMATCH, Outcome.GONE, Outcome.MISMATCH),
        (Outcome.GONE, Outcome.PRESENT, Outcome.PRESENT),
        (Outcome.BLOCKED, Outcome.PRESENT, Outcome.PRESENT),
        (Outcome.PRESENT, Outcome.GONE, Outcome.PRESENT),
        (Outcome.GONE, Outcome.BLOCKED, Outcome.BLOCKED),
        (Outcome.GONE, Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE),
        (Outcome.INCONCLUSIVE, Outcome.GONE, Outcome.INCONCLUSIVE),
        (Outcome.BLOCKED, Outcome.BLOCKED, Outcome.BLOCKED),
    ],
)
def test_media_and_page_together(media: Outcome, page: Outcome | None, together: Outcome) -> None:
    assert combined(media, page) is together


def test_removal_needs_media_and_page_both_clear() -> None:
    story = Story.delivered(target=replace(TARGET, page_url="https://site.test/p", page_host="site.test"))
    story.look(Outcome.GONE, page_outcome=Outcome.PRESENT, status=410)
    assert story.state() is TakedownState.OPEN
    story.look(Outcome.GONE, page_outcome=Outcome.GONE, status=410, page_status=404)
    assert story.state() is TakedownState.VERIFYING
    story.later(HOUR).look(Outcome.GONE, page_outcome=Outcome.MISMATCH, status=410, page_status=200)
    assert story.state() is TakedownState.REMOVED


def test_removal_closes_every_open_demand_and_watches() -> None:
    story = Story.delivered()
    story.responds(ResponseReason.WRONG_RECIPIENT)
    story.deliver()
    story.look(Outcome.GONE)
    story.later(HOUR)
    effects = story.look(Outcome.GONE)
    assert [(one.kind, one.demand_id) for one in of_kind(effects, SendMessage)] == [
        (MessageKind.CLOSED, one.demand_id) for one in story.takedown.demands
    ], "who declined hears that it is gone, too"
    assert [one.state for one in story.takedown.demands] == [DemandState.CLOSED, DemandState.CLOSED]
    assert (story.timers, story.check_at) == ({}, story.now + HOUR)
    assert story.attempt() == [MessageKind.CLOSED, MessageKind.CLOSED]


@pytest.mark.parametrize("outcome", [AttemptEnded.PERMANENT, AttemptEnded.TRANSIENT])
def test_removal_closes_what_could_not_be_delivered(outcome: AttemptEnded) -> None:
    story = Story.opened()
    story.attempt(outcome)
    story.later(7 * HOUR).look(Outcome.PRESENT)
    story.attempt(outcome)
    story.fire_due_timers()
    assert story.takedown.demands[0].state is DemandState.UNDELIVERABLE
    story.confirm_gone()
    assert {one.state for one in story.takedown.demands} == {DemandState.CLOSED}


def test_the_watch_keeps_its_growing_intervals() -> None:
    story = Story.delivered()
    story.confirm_gone()
    removed_at, seen = story.now, []
    for _ in range(9):
        assert story.check_at is not None
        story.now = story.check_at
        seen.append(story.now - removed_at)
        story.look(Outcome.GONE)
    hours = [int(one / HOUR) for one in seen]
    assert hours == [1, 6, 24, 72, 168, 336, 720, 1440, 2160]


def test_a_dead_site_is_watched_like_any_other() -> None:
    story = Story.delivered()
    story.confirm_gone()
    story.later(HOUR).look(Outcome.INCONCLUSIVE, **NO_SUCH_DOMAIN)
    assert story.check_at == story.now + 5 * HOUR


# The host's word


def test_a_reported_removal_is_looked_at_now_and_ends_nothing() -> None:
    story = Story.delivered()
    story.later(MINUTE).says_removed()
    assert (story.demand.state, story.state()) == (DemandState.REPORTED_REMOVED, TakedownState.OPEN)
    assert story.check_at == story.now


def test_a_false_report_is_told_once_then_climbs() -> None:
    story = Story.delivered()
    story.later(MINUTE).says_removed()
    story.later(MINUTE).look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.STILL_PRESENT]
    assert story.demand.state is DemandState.DELIVERED
    story.later(MINUTE).says_removed()
    assert story.check_at == story.now + HOUR  # a known liar does not set the pace of our checks
    story.later(HOUR).look(Outcome.PRESENT)
    assert [one.recipient for one in story.takedown.demands] == ["site", "hoster"]
    assert story.kinds_sent().count(MessageKind.STILL_PRESENT) == 1


def test_a_look_begun_before_the_report_calls_nobody_a_liar() -> None:
    story = Story.delivered()
    begun = story.now
    story.later(MINUTE).says_removed()
    story.look(Outcome.PRESENT, started_at=begun)
    assert story.demand.state is DemandState.REPORTED_REMOVED
    assert MessageKind.STILL_PRESENT not in story.kinds_sent()
    assert story.check_at == story.now


def test_geoblocked_is_no_removal() -> None:
    story = Story.delivered()
    before = story.check_at
    story.answer(AnswerKind.REMOVAL, method=RemovalMethod.GEOBLOCKED)
    assert (story.demand.state, story.check_at) == (DemandState.ACKNOWLEDGED, before)


def test_an_accepted_delivery_is_no_removal() -> None:
    story = Story.opened()
    story.attempt(AttemptEnded.ACCEPTED)
    assert story.state() is TakedownState.OPEN


def test_scaled_policy_scales_the_confirmation_wait() -> None:
    story = Story.delivered(policy=Policy(clock_scale=0.01))
    story.look(Outcome.GONE)
    assert story.check_at == START + timedelta(seconds=36)


@pytest.mark.parametrize(
    ("page", "status"), [(Outcome.BLOCKED, 403), (Outcome.INCONCLUSIVE, 503), (Outcome.INCONCLUSIVE, None)]
)
def test_a_site_is_not_dead_while_its_page_may_answer(page: Outcome, status: int | None) -> None:
    """The medium's name is gone; the page, elsewhere, turns us away or says nothing: it may still show it."""
    story = Story.delivered(target=replace(TARGET, page_url="https://page.test/1", page_host="page.test"))
    for _ in range(16):
        story.later(DAY).look(
            Outcome.INCONCLUSIVE, **NO_SUCH_DOMAIN, page_outcome=page, page_status=status, page_no_such_domain=False
        )
    assert story.state() in (TakedownState.OPEN, TakedownState.UNREMOVED)


@pytest.mark.parametrize(
    ("medium", "page"),
    [
        (NO_SUCH_DOMAIN, {"page_outcome": Outcome.INCONCLUSIVE, "page_no_such_domain": True}),
        (NO_SUCH_DOMAIN, {"page_outcome": Outcome.GONE, "page_status": 404}),
        (NO_SUCH_DOMAIN, {"page_outcome": Outcome.MISMATCH, "page_status": 200}),
        ({"status": 404}, {"page_outcome": Outcome.INCONCLUSIVE, "page_no_such_domain": True}),
    ],
)
def test_a_dead_medium_and_a_clear_or_dead_page_are_gone_after_14_days(
    medium: dict[str, Any], page: dict[str, Any]
) -> None:
    story = Story.delivered(target=replace(TARGET, page_url="https://page.test/1", page_host="page.test"))
    outcome = Outcome.GONE if medium.get("status") == 404 else Outcome.INCONCLUSIVE
    for _ in range(14):
        story.later(DAY).look(outcome, **medium, **page)
        assert story.state() is not TakedownState.REMOVED
    story.later(DAY).look(outcome, **medium, **page)
    assert (story.state(), removed_for(story)) == (TakedownState.REMOVED, "site_dead")


def test_a_clock_set_back_does_not_make_a_check_due_for_ever() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.RECHECK)
    story.later(MINUTE).decides(DecisionKind.RECHECK)
    story.later(-HOUR).look(Outcome.PRESENT)
    assert story.check_at is not None
    assert story.check_at > story.now
