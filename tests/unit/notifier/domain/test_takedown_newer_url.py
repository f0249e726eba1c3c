"""One file under ever new signatures is one takedown: which of its URLs is looked at, and quoted."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from services.notifier.domain.effects import PublishTarget
from services.notifier.domain.events import AttemptEnded, MatchReceived
from services.notifier.domain.model import Outcome, TakedownState
from tests.unit.notifier.takedown_story import DAY, HOUR, MATCH, MINUTE, START, TARGET, Story, of_kind


def signed(number: int, seen_at: datetime) -> MatchReceived:
    url = f"https://img.site.test/a.jpg?signature={number}"
    match = replace(MATCH, seen_at=seen_at, sighting_id=uuid4())
    return MatchReceived(match=match, target=replace(TARGET, url=url, seen_at=seen_at))


def seen_again(story: Story, number: int) -> str:
    """A sighting under another signature; the URL that is looked at from now on."""
    story.tell(signed(number, story.now))
    assert story.takedown.target is not None
    return story.takedown.target.url.rpartition("=")[2]


def test_the_newest_is_looked_at_until_a_demand_quotes_it() -> None:
    story = Story.matched()
    assert seen_again(story.later(MINUTE), 1) == "1"
    assert seen_again(story.later(MINUTE), 2) == "2"
    story.look(Outcome.PRESENT)
    assert seen_again(story.later(MINUTE), 3) == "3"  # due, and nobody has been asked
    story.deliver()
    assert seen_again(story.later(MINUTE), 4) == "3"
    assert story.takedown.target is not None
    assert (story.takedown.target.url_key, story.takedown.target.key_version) == (TARGET.url_key, TARGET.key_version)


def test_each_change_is_told() -> None:
    story = Story.matched()
    assert len(of_kind(story.tell(signed(1, START + MINUTE)), PublishTarget)) == 1
    assert of_kind(story.tell(signed(1, START + 2 * MINUTE)), PublishTarget) == []


@pytest.mark.parametrize("earlier", [MINUTE, HOUR, DAY])
def test_an_older_sighting_that_is_heard_late_changes_nothing(earlier: timedelta) -> None:
    story = Story.matched()
    assert seen_again(story.later(2 * DAY), 1) == "1"
    story.tell(signed(0, story.now - earlier))
    assert story.takedown.target is not None
    assert story.takedown.target.url.endswith("signature=1")


def test_an_attempt_under_way_may_quote_it() -> None:
    story = Story.opened()
    story.around = replace(story.around, attempt_under_way=True)
    assert seen_again(story.later(MINUTE), 1) == TARGET.url


@pytest.mark.parametrize("ended", [AttemptEnded.TRANSIENT, AttemptEnded.UNKNOWN, AttemptEnded.ACCEPTED])
def test_what_may_have_been_read_is_quoted(ended: AttemptEnded) -> None:
    story = Story.opened()
    story.attempt(ended)
    assert seen_again(story.later(MINUTE), 1) == TARGET.url


def test_after_a_removal_it_is_looked_at_where_it_is_seen_and_the_new_round_quotes_that() -> None:
    story = Story.delivered()
    story.confirm_gone()
    assert story.state() is TakedownState.REMOVED
    assert seen_again(story.later(MINUTE), 7) == "7"
    assert story.check_at == story.now
    story.look(Outcome.PRESENT)
    assert story.state() is TakedownState.REAPPEARED
    assert seen_again(story.later(MINUTE), 8) == "8"
    story.deliver()
    assert seen_again(story.later(MINUTE), 9) == "8"


@pytest.mark.parametrize("outcome", [Outcome.BLOCKED, Outcome.INCONCLUSIVE])
def test_where_the_older_url_told_nothing_the_newer_is_looked_at_at_once(outcome: Outcome) -> None:
    story = Story.matched()
    story.look(outcome)
    assert story.check_at is not None
    assert story.check_at > story.now
    seen_again(story.later(MINUTE), 1)
    assert story.check_at == story.now


def test_what_a_person_was_asked_about_since_no_look_came_is_looked_at_anew() -> None:
    story = Story.matched()
    while story.state() is TakedownState.DISCOVERED:
        assert story.check_at is not None
        story.now = max(story.check_at, story.now)
        story.look(Outcome.BLOCKED)
    assert (story.state(), story.open_tasks()) == (TakedownState.HELD, {"first_check"})
    seen_again(story.later(HOUR), 1)
    assert (story.state(), story.open_tasks(), story.check_at) == (TakedownState.DISCOVERED, set(), story.now)
