"""Which matches begin a takedown, which begin a check or a new round, and which wait for a person or for their content."""

from __future__ import annotations

from dataclasses import replace

from services.notifier.domain.effects import PublishTarget, SendMessage
from services.notifier.domain.events import (
    ContentView,
    FloodHeld,
    MatchReceived,
    ResponseReason,
)
from services.notifier.domain.ladder import Routes
from services.notifier.domain.model import MessageKind, Outcome, TakedownState, Target
from services.notifier.domain.takedown import acts_on, begin, decide
from shared.contracts.content import ContentState
from shared.contracts.decisions import DecisionKind
from shared.contracts.matches import Guard
from shared.policy import Policy
from tests.unit.notifier.takedown_story import (
    CONTENT,
    DAY,
    HOUR,
    MATCH,
    MINUTE,
    START,
    TAKEDOWN,
    TARGET,
    Story,
    of_kind,
    surroundings,
)


def test_every_match_after_removal_makes_a_check_due_now() -> None:
    story = Story.delivered()
    story.confirm_gone()
    story.later(MINUTE).tell(MatchReceived(match=MATCH, target=TARGET))
    assert story.check_at == story.now
    assert story.state() is TakedownState.REMOVED


def test_a_further_match_of_an_open_takedown_starts_a_check_once_a_day_only() -> None:
    story = Story.delivered()
    at = story.check_at
    story.later(HOUR).tell(MatchReceived(match=MATCH, target=TARGET))
    assert story.check_at == at
    story.later(DAY).tell(MatchReceived(match=MATCH, target=TARGET))
    assert story.check_at is not None
    assert story.check_at <= story.now


def test_a_reappearance_opens_a_new_round_with_a_new_clock_at_the_first_rung() -> None:
    story = Story.delivered()
    story.responds(ResponseReason.WRONG_RECIPIENT)
    story.deliver()
    story.confirm_gone()
    story.later(DAY).look(Outcome.PRESENT)
    assert (story.state(), story.takedown.round) == (TakedownState.REAPPEARED, 2)
    again = story.demand
    assert (again.recipient, again.round, again.kind) == ("site", 2, MessageKind.REAPPEARED)
    assert again.demand_id not in {one.demand_id for one in story.takedown.demands[:-1]}
    assert story.attempt() == [MessageKind.CLOSED, MessageKind.CLOSED, MessageKind.REAPPEARED]
    assert story.demand.deadline == story.now + 72 * HOUR


def test_seen_for_the_first_time_after_not_found_is_no_reappearance() -> None:
    story = Story.matched()
    story.confirm_gone(status=410)
    story.later(HOUR).look(Outcome.PRESENT)
    assert (story.state(), story.takedown.round, story.demand.kind) == (TakedownState.OPEN, 1, MessageKind.ISSUED)


# Before and around


def test_a_match_that_overtakes_its_content_or_claim_waits() -> None:
    story = Story.matched(around=surroundings(content=ContentView(), terms=None))
    assert (story.state(), story.check_at) == (TakedownState.DISCOVERED, None)
    story.content(state=ContentState.ACTIVE)
    assert story.check_at is None
    story.around = replace(story.around, terms=surroundings().terms)
    story.content()
    assert story.check_at == story.now


def test_a_match_of_suspended_content_waits_for_the_resumption() -> None:
    story = Story.matched(around=surroundings(content=ContentView(state=ContentState.SUSPENDED)))
    assert (story.state(), story.check_at) == (TakedownState.SUSPENDED, None)
    story.content(state=ContentState.ACTIVE)
    assert (story.state(), story.check_at) == (TakedownState.DISCOVERED, story.now)


def test_a_new_takedown_publishes_its_target_once_and_a_page_when_known() -> None:
    event = MatchReceived(match=MATCH, target=TARGET)
    takedown, effects = decide(begin(TAKEDOWN, CONTENT, event, START), event, START, Policy(), surroundings())
    assert len(of_kind(effects, PublishTarget)) == 1
    _, effects = decide(takedown, event, START, Policy(), surroundings())
    assert of_kind(effects, PublishTarget) == []
    page: Target = replace(TARGET, page_url="https://site.test/p", page_host="site.test")
    takedown, effects = decide(takedown, replace(event, target=page), START, Policy(), surroundings())
    assert len(of_kind(effects, PublishTarget)) == 1
    assert takedown.target == page


def test_which_matches_create_a_takedown() -> None:
    assert acts_on(MatchReceived(match=MATCH, target=TARGET))
    assert not acts_on(MatchReceived(match=replace(MATCH, guards=(Guard.NEGATIVE_LIST,)), target=TARGET))


def test_the_flood_guard_holds_what_nobody_was_asked_about() -> None:
    story = Story.matched()
    story.tell(FloodHeld(hosts=21))
    assert (story.state(), story.check_at, story.open_tasks()) == (TakedownState.HELD, None, {"flood"})
    story.decides(DecisionKind.RELEASE)
    assert (story.state(), story.check_at) == (TakedownState.DISCOVERED, story.now)
    story.tell(FloodHeld(hosts=21))
    assert story.state() is TakedownState.DISCOVERED
    unknown = Story.opened(around=surroundings(routes=Routes()))
    unknown.tell(FloodHeld(hosts=21))
    assert unknown.state() is TakedownState.HELD
    asked = Story.opened()
    asked.tell(FloodHeld(hosts=21))
    assert asked.state() is TakedownState.OPEN


def test_an_asserted_target_goes_on_when_our_fetch_matches_the_register() -> None:
    story = Story.matched(match=replace(MATCH, basis="person", distance=None, algorithm=None, asserted_by="p1"))
    assert (story.state(), story.check_at) == (TakedownState.HELD, START)
    story.look(Outcome.MISMATCH)
    assert story.state() is TakedownState.HELD
    story.later(DAY).look(Outcome.PRESENT)
    assert (story.state(), story.demand.recipient) == (TakedownState.OPEN, "site")


def test_an_asserted_target_that_comes_back_unlike_the_register_is_held_and_still_looked_at() -> None:
    story = Story.matched(match=replace(MATCH, basis="person", distance=None, algorithm=None, asserted_by="p1"))
    story.decides(DecisionKind.RECHECK)
    story.confirm_gone(status=410)
    assert story.state() is TakedownState.REMOVED
    story.later(HOUR).look(Outcome.PRESENT, distance=None)
    assert story.state() is TakedownState.HELD
    assert story.check_at is not None


def test_a_check_asked_for_during_a_check_is_not_answered_by_it() -> None:
    story = Story.delivered()
    begun = story.now
    story.later(MINUTE).tell(MatchReceived(match=MATCH, target=TARGET))
    story.says_removed()
    story.later(MINUTE).look(Outcome.GONE, started_at=begun)
    assert story.check_at is not None
    assert story.check_at <= story.now


def test_dismissed_recipients_hear_it_and_another_look_starts_a_new_round() -> None:
    story = Story.delivered()
    effects = story.decides(DecisionKind.DISMISS)
    assert story.state() is TakedownState.DISMISSED
    assert [one.kind for one in of_kind(effects, SendMessage)] == [MessageKind.RETRACTED]
    story.later(DAY).decides(DecisionKind.RECHECK)
    assert (story.state(), story.takedown.round) == (TakedownState.DISCOVERED, 2)
    story.look(Outcome.PRESENT)
    assert story.demand.round == 2


def test_suspended_by_two_resumes_with_the_last() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.SUSPEND)
    story.content(state=ContentState.SUSPENDED)
    story.content(state=ContentState.ACTIVE)
    assert story.state() is TakedownState.SUSPENDED
    story.decides(DecisionKind.RESUME)
    assert (story.state(), story.check_at) == (TakedownState.OPEN, story.now)
    assert story.timers


def test_a_suspension_while_verifying_resumes_there() -> None:
    story = Story.delivered()
    story.look(Outcome.GONE)
    story.content(state=ContentState.SUSPENDED)
    story.later(2 * HOUR).look(Outcome.GONE)  # under way when it was suspended
    assert story.state() is TakedownState.SUSPENDED
    story.content(state=ContentState.ACTIVE)
    assert story.state() is TakedownState.VERIFYING
    story.look(Outcome.GONE)
    assert story.state() is TakedownState.REMOVED
