"""The demo's judge finds what is wrong: a demo that cannot fail shows nothing."""

from __future__ import annotations

from typing import Any

import pytest

from services.standalone.demo import internet, judge
from services.standalone.demo.judge import Course
from services.standalone.demo.pictures import Picture
from services.standalone.demo.scenario import DemoTarget, End, Scenario
from services.standalone.demo.sites import Provider, Received, Site

URL = "http://somewhere.test/m/1.jpg"
PICTURE = Picture(body=b"", suffix="jpg")


def received(kind: str, url: str | None = URL) -> Received:
    return Received(type=kind, message_id=f"{kind} {url}", demand_id="d", url=url, page_url=None, token="t")


def takedown(**changes: Any) -> dict[str, Any]:
    return {
        **{"takedown_id": "t-1", "url": URL, "state": "removed", "removed_for": "gone", "round": 1, "demands": [1]},
        **changes,
    }


def course(found: dict[str, Any] | None, *, heard: tuple[str, ...] = ("demand.issued",), **scenario: Any) -> Course:
    site = Site(name="somewhere", received=[received(kind) for kind in heard])
    end = scenario.pop("end", End(state="removed", reason="gone"))
    target = DemoTarget(path="/m/1.jpg", end=end, copy=PICTURE, without_browser=scenario.pop("without_browser", None))
    made = Scenario(name="s", story="", site=site, original=PICTURE, targets=(target,), **scenario)
    return Course(scenario=made, started_at=0, states={} if found is None else {URL: found})


def provider(*heard: str) -> Provider:
    return Provider(name="hosting", received=[received(kind) for kind in heard])


def test_as_expected() -> None:
    assert judge.wrong(course(takedown()), provider(), {}) == []


@pytest.mark.parametrize(
    "found",
    [None, takedown(state="open"), takedown(removed_for="replaced"), takedown(round=2)],
    ids=["none", "state", "reason", "round"],
)
def test_another_end_is_wrong(found: dict[str, Any] | None) -> None:
    assert judge.wrong(course(found), provider(), {})


def test_a_message_that_never_came_is_wrong() -> None:
    assert judge.wrong(course(takedown(), heard=()), provider(), {}) == ["the site never got issued"]


def test_a_message_that_must_not_come_is_wrong() -> None:
    heard = ("demand.issued", "demand.retracted")
    assert judge.wrong(course(takedown(), heard=heard), provider(), {}) == ["the site got retracted"]


def test_a_provider_that_must_not_be_asked_and_was_is_wrong() -> None:
    assert judge.wrong(course(takedown()), provider("demand.issued"), {}) == ["the provider got issued"]


def test_a_provider_that_must_be_asked_and_was_not_is_wrong() -> None:
    asked = course(takedown(), provider_hears=frozenset({"demand.issued"}))
    assert judge.wrong(asked, provider(), {}) == ["the provider never got issued"]


def test_a_demand_where_none_may_be_is_wrong() -> None:
    nobody = course(takedown(), heard=(), site_hears=frozenset())
    assert judge.wrong(nobody, provider(), {}) == ["/m/1.jpg: a demand was made"]


def test_held_needs_its_task_and_the_guards_word() -> None:
    held = course(
        takedown(state="held", removed_for=None, demands=[]),
        heard=(),
        site_hears=frozenset(),
        end=End(state="held"),
        held="first_check",
        check_detail="address_refused",
    )
    assert len(judge.wrong(held, provider(), {})) == 2
    held.check_details = frozenset({"address_refused"})
    assert judge.wrong(held, provider(), {"t-1": ["first_check"]}) == []


def test_an_end_may_need_a_task_and_be_another_one_without_a_browser() -> None:
    silent = End(state="unremoved", task="silent")
    found = course(takedown(state="unremoved", removed_for=None), without_browser=silent)
    assert judge.wrong(found, provider(), {"t-1": ["silent"]}, browser=False) == []
    assert judge.wrong(found, provider(), {}, browser=False) == ["/m/1.jpg: without a task silent"]
    assert judge.wrong(found, provider(), {"t-1": ["silent"]}) == ["/m/1.jpg: unremoved"]
    assert judge.wrong(course(takedown()), provider(), {"t-1": ["silent"]}) == ["/m/1.jpg: our looks say nothing"]
    assert "silent" in found.scenario.expected(browser=False)
    assert "silent" not in found.scenario.expected(browser=True)


def test_a_withdrawn_takedown_keeps_no_url() -> None:
    withdrawn = course(takedown(state="withdrawn", removed_for=None), end=End(state="withdrawn"))
    assert judge.wrong(withdrawn, provider(), {}) == ["/m/1.jpg: its URL is not erased"]


def test_a_takedown_keeps_its_place_after_its_url_is_erased() -> None:
    register = judge.RegisterState()
    register.file([takedown()])
    assert register.file([takedown(url=None)])[URL]["url"] is None


def test_hosts_refuse_what_is_not_signed_with_their_secret() -> None:
    secret = Site(name="a").secret
    headers = {"webhook-id": "m", "webhook-timestamp": "1000", "webhook-signature": "v1,bm8="}
    with pytest.raises(internet.NotSigned):
        internet.verify(secret, headers=headers, body=b"{}", now=1000.0)
