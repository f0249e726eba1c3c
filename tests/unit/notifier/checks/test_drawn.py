"""What a browser's look adds: the rules alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.notifier.checks.drawn import Drawn, joined_medium, joined_page, judged
from services.notifier.checks.judgement import Judge
from services.notifier.checks.seen import Seen, Wanted
from services.notifier.domain.model import Observed, Outcome
from services.notifier.domain.schedule import is_browser_watch
from shared.media.browser.look import BrowserLook, BrowserOutcome, Unfinished
from shared.policy import Policy

URL = "http://site.test/x.jpg"
AT = datetime(2026, 1, 1, tzinfo=UTC)
JUDGE = Judge(
    wanted=Wanted(takedown_id=uuid4(), target_kind="media", url=URL, url_key=URL, page_url=None, register=()),
    policy=Policy(),
    fingerprint_key=b"k" * 32,
)


def drawn(look: BrowserLook, *, unread: int = 0) -> Drawn:
    return judged(URL, look, (), unread, JUDGE, Observed(at=AT, status=look.status))


def seen(outcome: Outcome, reason: str = "", status: int | None = 200) -> Seen:
    return Seen(outcome=outcome, reason=reason, observed=Observed(at=AT, status=status))


CLEAR = drawn(BrowserLook(outcome=BrowserOutcome.DRAWN, status=200, text="Words"))
MISSING = drawn(BrowserLook(outcome=BrowserOutcome.DRAWN, status=404, text="Not found"))
EMPTY = drawn(BrowserLook(outcome=BrowserOutcome.DRAWN, status=404))
HALF = drawn(BrowserLook(outcome=BrowserOutcome.DRAWN, status=200, unfinished=frozenset({Unfinished.OVERLAY})))
PRESENT = Drawn(url=URL, look=CLEAR.look, seen=seen(Outcome.PRESENT, "drawn_by_browser"))


@pytest.mark.parametrize(
    ("look", "unread", "outcome", "reason"),
    [
        (CLEAR.look, 0, Outcome.MISMATCH, "nothing_drawn"),
        (MISSING.look, 0, Outcome.GONE, "nothing_drawn"),
        (CLEAR.look, 1, Outcome.INCONCLUSIVE, "not_fully_drawn_pictures"),
        (HALF.look, 0, Outcome.INCONCLUSIVE, "not_fully_drawn_overlay"),
        (BrowserLook(outcome=BrowserOutcome.CRASHED), 0, Outcome.INCONCLUSIVE, "browser_crashed"),
        (BrowserLook(outcome=BrowserOutcome.DOWNLOAD), 0, Outcome.INCONCLUSIVE, "browser_download"),
        (BrowserLook(outcome=BrowserOutcome.NO_SUCH_DOMAIN), 0, Outcome.INCONCLUSIVE, "browser_no_such_domain"),
        (BrowserLook(outcome=BrowserOutcome.DRAWN, status=403), 0, Outcome.BLOCKED, "forbidden"),
        (
            BrowserLook(outcome=BrowserOutcome.DRAWN, status=200, title="Just a moment..."),
            0,
            Outcome.BLOCKED,
            "challenge",
        ),
        (BrowserLook(outcome=BrowserOutcome.DRAWN, status=200, password_field=True), 0, Outcome.BLOCKED, "login"),
        (
            BrowserLook(outcome=BrowserOutcome.DRAWN, status=200, final_url="http://site.test/login"),
            0,
            Outcome.BLOCKED,
            "login",
        ),
    ],
)
def test_what_a_look_of_a_browser_means(look: BrowserLook, unread: int, outcome: Outcome, reason: str) -> None:
    found = drawn(look, unread=unread)
    assert (found.seen.outcome, found.seen.reason) == (outcome, reason)


@pytest.mark.parametrize("light", [Outcome.GONE, Outcome.MISMATCH])
def test_a_sign_stands_only_where_a_browser_shows_nothing(light: Outcome) -> None:
    sign = seen(light, "status")
    assert joined_medium(sign, None) == sign
    assert joined_medium(sign, CLEAR) == sign
    assert joined_medium(sign, HALF).outcome is Outcome.INCONCLUSIVE
    assert joined_medium(sign, PRESENT).outcome is Outcome.PRESENT


def test_that_a_browser_shows_nothing_is_no_sign_by_itself() -> None:
    answers = seen(Outcome.INCONCLUSIVE, "answers_with_page")
    assert joined_medium(answers, CLEAR) == answers
    walled = seen(Outcome.BLOCKED, "login", status=404)
    assert joined_medium(walled, MISSING) == walled
    undecoded = seen(Outcome.INCONCLUSIVE, "undecodable_playlist", status=404)
    assert joined_medium(undecoded, MISSING) == undecoded, "another program than a browser plays it"
    unread = seen(Outcome.INCONCLUSIVE, "page_runs_scripts", status=404)
    assert joined_medium(unread, MISSING).outcome is Outcome.GONE, "404, and now all of it was looked at"
    assert joined_medium(unread, EMPTY) == unread, "its scripts failed, perhaps"


def test_a_page_is_clear_where_all_of_it_was_drawn() -> None:
    unread = seen(Outcome.INCONCLUSIVE, "page_runs_scripts")
    assert joined_page(unread, CLEAR).outcome is Outcome.MISMATCH
    assert joined_page(unread, HALF) == unread
    assert joined_page(unread, EMPTY) == unread
    wall = seen(Outcome.BLOCKED, "age_gate")
    assert joined_page(wall, CLEAR) == wall, "what the browser drew is the wall"
    assert joined_page(seen(Outcome.BLOCKED, "forbidden", status=403), CLEAR).outcome is Outcome.MISMATCH, (
        "it was let in"
    )
    assert joined_page(seen(Outcome.MISMATCH), HALF).outcome is Outcome.INCONCLUSIVE
    assert joined_page(seen(Outcome.MISMATCH), CLEAR).outcome is Outcome.MISMATCH
    assert joined_page(unread, PRESENT).outcome is Outcome.PRESENT


def test_of_a_page_that_is_held_nothing_is_believed_but_that_it_is_there() -> None:
    held = seen(Outcome.MISMATCH)
    assert joined_medium(held, HALF, presence_only=True) == held
    assert joined_medium(held, PRESENT, presence_only=True).outcome is Outcome.PRESENT


def test_a_browser_joins_some_watches() -> None:
    policy = Policy()
    hours = {
        0.5: False,
        1: True,
        6: False,
        24: False,
        72: False,
        7 * 24: True,
        14 * 24: False,
        30 * 24: True,
        90 * 24: True,
    }
    asked = {
        after: is_browser_watch(removed_at=AT, now=AT + timedelta(hours=after, minutes=1), policy=policy)
        for after in hours
    }
    assert asked == hours
