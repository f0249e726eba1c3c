"""Whatever our looks cannot say: clocks go on, demands climb on what was seen last, and a person hears of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.notifier.domain.events import AttemptEnded, ResponseReason
from services.notifier.domain.model import DemandState, MessageKind, Outcome, TakedownState
from shared.contracts.content import ContentState
from shared.contracts.decisions import DecisionKind
from shared.policy import Policy
from tests.unit.notifier.takedown_story import DAY, HOUR, MINUTE, Story

SILENT: list[tuple[Outcome, dict[str, Any]]] = [
    (Outcome.BLOCKED, {"status": 403}),
    (Outcome.BLOCKED, {"status": 451}),
    (Outcome.INCONCLUSIVE, {"status": 429}),
    (Outcome.INCONCLUSIVE, {"status": 503}),
    (Outcome.INCONCLUSIVE, {"status": None, "reason": "timed_out"}),
    (Outcome.INCONCLUSIVE, {"status": 202, "reason": "challenge"}),
    (Outcome.INCONCLUSIVE, {"status": None, "reason": "no_such_domain", "no_such_domain": True}),
    (Outcome.INCONCLUSIVE, {"status": 200, "probably_present": True, "distance": 40}),
]
silent = pytest.mark.parametrize(("outcome", "facts"), SILENT)


def run_until(story: Story, end: Any, outcome: Outcome, facts: dict[str, Any]) -> None:
    """Everything that is due happens; every look sees this."""
    while True:
        coming = [one for one in (story.check_at, *story.timers.values()) if one is not None]
        coming += [row.due for row in story.rows.values() if row.due is not None and not row.ended and not row.accepted]
        at = min(coming, default=end)
        if at >= end:
            story.now = end
            return
        story.now = max(story.now, at)
        story.attempt()
        if story.check_at is not None and story.check_at <= story.now:
            story.look(outcome, **facts)
        story.fire_due_timers()


@silent
def test_a_host_that_stops_answering_our_looks_is_reminded_and_the_next_is_asked_at_its_deadline(
    outcome: Outcome, facts: dict[str, Any]
) -> None:
    story = Story.delivered()
    seen_at = story.takedown.last_seen.at  # type: ignore[union-attr]
    deadline = story.demand.deadline
    assert deadline is not None
    run_until(story, deadline + HOUR, outcome, facts)
    assert [one.recipient for one in story.takedown.demands] == ["site", "hoster"]
    first, second = story.takedown.demands
    assert (first.state, first.escalated, second.state) == (DemandState.EXPIRED, True, DemandState.DELIVERED)
    assert story.kinds_sent().count(MessageKind.REMINDED) == 2
    assert second.printed.observed is not None
    assert second.printed.observed.at == seen_at, "the notice says when it was seen"
    rested = [one.facts for one in story.happened("demand.issued") if "rests_on" in one.facts]
    assert [one["rests_on"] for one in rested] == ["last_present"]


@silent
def test_what_says_nothing_for_72_hours_is_a_persons_task_once(outcome: Outcome, facts: dict[str, Any]) -> None:
    story = Story.delivered()
    story.later(HOUR).look(outcome, **facts)
    story.later(72 * HOUR - MINUTE).look(outcome, **facts)
    assert "silent" not in story.open_tasks()
    story.later(MINUTE).look(outcome, **facts)
    assert "silent" in story.open_tasks()
    opened = [one for one in story.happened("task.opened") if one.facts["task"] == "silent"]
    assert [one.facts["reason"] for one in opened] == [outcome.value]
    story.later(DAY).look(outcome, **facts)
    assert len([one for one in story.happened("task.opened") if one.facts["task"] == "silent"]) == 1


@silent
def test_a_look_that_says_something_ends_the_silence(outcome: Outcome, facts: dict[str, Any]) -> None:
    story = Story.delivered()
    story.look(outcome, **facts)
    story.later(72 * HOUR).look(outcome, **facts)
    assert "silent" in story.open_tasks()
    story.later(HOUR).look(Outcome.PRESENT)
    assert "silent" not in story.open_tasks()
    story.later(HOUR).look(outcome, **facts)
    story.later(71 * HOUR).look(outcome, **facts)
    assert "silent" not in story.open_tasks()


def test_a_person_who_looked_is_asked_again_after_as_long_a_silence() -> None:
    story = Story.delivered()
    story.look(Outcome.BLOCKED)
    story.later(72 * HOUR).look(Outcome.BLOCKED)
    story.decides(DecisionKind.RELEASE, task_kind=story.takedown.tasks[-1].kind)
    assert "silent" not in story.open_tasks()
    story.later(HOUR).look(Outcome.BLOCKED)
    story.later(71 * HOUR).look(Outcome.BLOCKED)
    assert "silent" not in story.open_tasks()
    story.later(HOUR).look(Outcome.BLOCKED)
    assert "silent" in story.open_tasks()


def test_the_patience_is_the_policys_and_is_scaled() -> None:
    story = Story.delivered(policy=Policy(clock_scale=0.5, silent_patience=timedelta(hours=10)))
    story.look(Outcome.BLOCKED)
    story.later(5 * HOUR).look(Outcome.BLOCKED)
    assert "silent" in story.open_tasks()


@silent
def test_what_was_seen_gone_once_and_then_not_at_all_is_a_persons_and_nobody_is_asked(
    outcome: Outcome, facts: dict[str, Any]
) -> None:
    """A later `gone` forbids that the climb rests on what was seen before it."""
    story = Story.delivered()
    deadline = story.demand.deadline
    assert deadline is not None
    story.later(HOUR).look(Outcome.GONE)
    run_until(story, deadline + 4 * DAY, outcome, facts)
    assert [one.recipient for one in story.takedown.demands] == ["site"]
    assert "silent" in story.open_tasks()
    assert story.state() is TakedownState.VERIFYING


@pytest.mark.parametrize("clear", [Outcome.GONE, Outcome.MISMATCH])
def test_a_refusal_climbs_on_the_last_present_but_not_past_a_later_gone(clear: Outcome) -> None:
    story = Story.delivered()
    story.later(2 * HOUR).responds(ResponseReason.NOT_HOSTED_HERE)
    story.look(Outcome.BLOCKED)
    assert story.demand.recipient == "hoster"
    other = Story.delivered()
    other.later(2 * HOUR).look(clear)
    other.responds(ResponseReason.NOT_HOSTED_HERE)
    other.look(Outcome.BLOCKED)
    assert other.demand.recipient == "site"


def test_the_hour_of_rule_1_holds_for_the_first_demand() -> None:
    """Nobody was written to: the first demand does not rest on an old look, however silent the host is."""
    story = Story.opened()
    story.later(2 * HOUR)
    assert story.attempt() == []
    run_until(story, story.now + 4 * DAY, Outcome.BLOCKED, {})
    assert story.demand.attempted_at is None
    assert "silent" in story.open_tasks()


def test_nor_does_a_new_rounds_first_demand() -> None:
    story = Story.delivered()
    story.confirm_gone()
    story.later(HOUR).look(Outcome.PRESENT)
    assert (story.state(), story.takedown.round) == (TakedownState.REAPPEARED, 2)
    assert MessageKind.REAPPEARED not in story.later(2 * HOUR).attempt()
    run_until(story, story.now + 2 * DAY, Outcome.BLOCKED, {})
    assert story.demand.attempted_at is None


def test_what_was_seen_before_a_suspension_does_not_carry_a_climb_after_it() -> None:
    story = Story.delivered()
    deadline = story.demand.deadline
    assert deadline is not None
    story.later(HOUR).content(state=ContentState.SUSPENDED)
    story.later(HOUR).content(state=ContentState.ACTIVE)
    run_until(story, deadline + 4 * DAY, Outcome.BLOCKED, {})
    assert [one.recipient for one in story.takedown.demands] == ["site"]
    assert "silent" in story.open_tasks()


def test_a_host_that_says_removed_and_turns_us_away_wins_no_time() -> None:
    story = Story.delivered()
    deadline = story.demand.deadline
    assert deadline is not None
    story.later(HOUR).says_removed()
    run_until(story, deadline + HOUR, Outcome.BLOCKED, {"status": 403})
    assert story.demand.recipient == "hoster"


def test_a_first_demand_tried_in_vain_whose_target_goes_silent_is_given_up_in_its_time() -> None:
    story = Story.opened()
    story.attempt(AttemptEnded.TRANSIENT)
    story.later(2 * HOUR)
    assert story.attempt(AttemptEnded.TRANSIENT) == []
    end = story.now + 5 * HOUR
    run_until(story, end, Outcome.BLOCKED, {})
    assert story.takedown.demands[0].state is DemandState.UNDELIVERABLE
    assert story.demand.recipient == "hoster"


# Probably still there: 32 to 50 bits

NEARLY: dict[str, Any] = {"status": 200, "probably_present": True, "distance": 40}


def test_what_is_nearly_the_content_is_a_persons_with_both_distances() -> None:
    story = Story.delivered()
    story.later(HOUR).look(Outcome.INCONCLUSIVE, **NEARLY, page_outcome=Outcome.INCONCLUSIVE, page_distance=44)
    assert (story.state(), story.open_tasks()) == (TakedownState.OPEN, {"probably_present"})
    facts = story.happened("check.inconclusive")[-1].facts
    assert (facts["distance"], facts["page_distance"], facts["matched_distance"]) == (40, 44, 4)
    assert facts["probably_present"] is True


def test_it_is_never_replaced_and_never_removed() -> None:
    story = Story.delivered()
    for _ in range(100):
        story.later(HOUR).look(Outcome.INCONCLUSIVE, **NEARLY)
    assert story.state() in (TakedownState.OPEN, TakedownState.UNREMOVED)
    assert story.takedown.gone is None


@pytest.mark.parametrize("clear", [Outcome.GONE, Outcome.MISMATCH])
def test_between_two_clear_looks_it_makes_the_first_of_them_count_no_more(clear: Outcome) -> None:
    story = Story.delivered()
    story.look(clear)
    story.later(30 * MINUTE).look(Outcome.INCONCLUSIVE, **NEARLY)
    story.later(HOUR).look(clear)
    assert story.state() is TakedownState.VERIFYING
    story.later(HOUR).look(clear)
    assert story.state() is TakedownState.REMOVED
    assert "probably_present" not in story.open_tasks()


def test_before_the_first_demand_it_is_held_and_no_release_makes_it_one() -> None:
    story = Story.matched()
    story.look(Outcome.INCONCLUSIVE, **NEARLY)
    assert (story.state(), story.open_tasks()) == (TakedownState.HELD, {"probably_present"})
    story.decides(DecisionKind.RELEASE)
    assert story.state() is TakedownState.DISCOVERED
    story.look(Outcome.INCONCLUSIVE, **NEARLY)
    assert (story.state(), story.open_tasks()) == (TakedownState.HELD, {"probably_present"})
    assert story.takedown.demands == ()


def test_at_a_watch_it_is_told_and_stays_removed() -> None:
    story = Story.delivered()
    story.confirm_gone()
    story.later(HOUR).look(Outcome.INCONCLUSIVE, **NEARLY)
    assert (story.state(), story.open_tasks()) == (TakedownState.REMOVED, {"probably_present"})


def test_a_person_who_settled_it_is_not_asked_again_by_the_same_look() -> None:
    story = Story.delivered()
    story.look(Outcome.INCONCLUSIVE, **NEARLY)
    story.decides(DecisionKind.RELEASE, task_kind=story.takedown.tasks[-1].kind)
    story.later(HOUR).look(Outcome.INCONCLUSIVE, **NEARLY)
    assert "probably_present" not in story.open_tasks()
    story.later(HOUR).look(Outcome.PRESENT)
    story.later(HOUR).look(Outcome.INCONCLUSIVE, **NEARLY)
    assert "probably_present" in story.open_tasks()
