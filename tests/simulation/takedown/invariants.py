"""What holds of a takedown at all times, whatever has happened."""

from __future__ import annotations

from uuid import UUID

from services.notifier.domain.builder import ANSWERABLE, ASKING, CLOCK_RUNS, ENDED
from services.notifier.domain.events import (
    TimerKind,
)
from services.notifier.domain.model import (
    DemandState,
    HoldReason,
    TakedownState,
    TaskKind,
)
from services.notifier.store.takedown_json import from_json, to_json
from shared.contracts.content import ContentState
from tests.unit.notifier.takedown_story import (
    Story,
)

CHECKED = {
    TakedownState.OPEN,
    TakedownState.VERIFYING,
    TakedownState.REMOVED,
    TakedownState.REAPPEARED,
    TakedownState.UNREMOVED,
}


def judge(story: Story, under_way: set[UUID]) -> None:
    """All of it; `under_way` are the messages that have left and are not answered yet."""
    at_most_one_demand_for_each_rung_recipient_and_round(story)
    what_is_checked_has_a_check_to_come_and_what_is_stopped_has_none(story)
    what_nobody_was_asked_about_is_held_while_fetching_is_stopped(story)
    what_waits_for_a_person_has_a_task(story)
    an_open_takedown_is_never_silent(story, under_way)
    withdrawn_holds_no_url_and_no_fingerprint(story)
    a_removed_or_ended_takedown_has_no_open_demand(story)
    what_means_something_in_some_states_exists_in_them_alone(story)
    it_survives_the_table(story)


def known_and_active(story: Story) -> bool:
    """Whether the content is known and counts: of another nothing is told yet."""
    return story.around.content.state is ContentState.ACTIVE


def at_most_one_demand_for_each_rung_recipient_and_round(story: Story) -> None:
    keys = [(one.rung, one.recipient, one.round) for one in story.takedown.demands]
    assert len(keys) == len(set(keys))


def what_is_checked_has_a_check_to_come_and_what_is_stopped_has_none(story: Story) -> None:
    coming = story.takedown.next_check
    assert (None if coming is None else coming.at) == story.check_at, "effects and state disagree on the check"
    state = story.state()
    active = story.around.content.state is ContentState.ACTIVE and story.around.terms is not None
    if story.around.content.fetching_stopped:
        assert story.check_at is None or not known_and_active(story), "a look is due at what may depict a minor"
    elif state in CHECKED or (state is TakedownState.DISCOVERED and active):
        assert story.check_at is not None
    elif state is TakedownState.HELD:
        assert (story.check_at is not None) == (story.takedown.held_for is HoldReason.ASSERTED)
    elif state in (*ENDED, TakedownState.SUSPENDED):
        assert story.check_at is None
        assert not story.timers


def what_nobody_was_asked_about_is_held_while_fetching_is_stopped(story: Story) -> None:
    if story.around.content.fetching_stopped and known_and_active(story) and story.takedown.sequence:
        assert story.state() is not TakedownState.DISCOVERED
        if story.state() in (TakedownState.OPEN, TakedownState.VERIFYING):
            assert story.takedown.demands, "going on although nobody was asked"


def what_waits_for_a_person_has_a_task(story: Story) -> None:
    takedown = story.takedown
    if takedown.state is TakedownState.HELD and takedown.held_for is not HoldReason.DISPUTE:
        assert takedown.tasks
    if takedown.state is TakedownState.UNREMOVED and not takedown.climb.wanted:
        opened = [one.facts["task"] for one in story.happened("task.opened")]
        assert TaskKind.LADDER_EXHAUSTED.value in opened
    assert len({one.kind for one in takedown.tasks}) == len(takedown.tasks)


def an_open_takedown_is_never_silent(story: Story, under_way: set[UUID]) -> None:
    """Somebody is being asked, or somebody is to be asked, or a person has a task."""
    takedown = story.takedown
    if takedown.state not in ASKING - {TakedownState.UNREMOVED} or takedown.climb.wanted:
        return
    rows = {(row.effect.demand_id, row.effect.kind): row for row in story.rows.values()}
    timers = {(kind, demand_id) for kind, demand_id, _ in story.timers}
    for demand in takedown.demands:
        if demand.round != takedown.round or demand.escalated:
            continue
        if demand.state is DemandState.DUE:
            row = rows[demand.demand_id, demand.kind]
            if demand.parked or row.effect.message_id in under_way or (row.due is not None and not row.ended):
                return
        elif demand.state in CLOCK_RUNS and (TimerKind.DEADLINE, demand.demand_id) in timers:
            return
    raise AssertionError("nobody is asked, and nobody knows")


def withdrawn_holds_no_url_and_no_fingerprint(story: Story) -> None:
    takedown = story.takedown
    if takedown.state is TakedownState.WITHDRAWN:
        assert takedown.target is None
        assert takedown.last_seen is None
        assert takedown.match.fingerprint_ref is None
        assert b"site.test/" not in to_json(takedown)


def a_removed_or_ended_takedown_has_no_open_demand(story: Story) -> None:
    takedown = story.takedown
    if takedown.state is TakedownState.REMOVED:
        assert {one.state for one in takedown.demands} <= {DemandState.CLOSED, DemandState.RETRACTED}
    if takedown.state in (TakedownState.REMOVED, *ENDED):
        assert not [one for one in takedown.demands if one.state in (*ANSWERABLE, DemandState.DUE, DemandState.EXPIRED)]


def what_means_something_in_some_states_exists_in_them_alone(story: Story) -> None:
    takedown = story.takedown
    lasting = takedown.lasting_state
    assert (takedown.suspension is not None) == (takedown.state is TakedownState.SUSPENDED)
    assert (takedown.held_for is not None) == (lasting is TakedownState.HELD)
    assert (takedown.gone is not None) == (lasting is TakedownState.VERIFYING)
    assert (takedown.removal is not None) == (lasting is TakedownState.REMOVED)
    assert (takedown.retraction is not None) == (lasting in ENDED)
    if takedown.first_look is not None:
        first = takedown.gone is not None and takedown.gone.seen_in is TakedownState.DISCOVERED
        assert first or lasting is TakedownState.DISCOVERED
    for demand in takedown.demands:
        assert (demand.retraction is not None) == (demand.state is DemandState.RETRACTED)


def it_survives_the_table(story: Story) -> None:
    assert from_json(to_json(story.takedown)) == story.takedown
